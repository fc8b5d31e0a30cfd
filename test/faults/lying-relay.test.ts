import { readdir } from 'node:fs/promises';

import { beforeEach, describe, expect, it } from 'vitest';

import { randomBytes } from '#src/crypto/index.js';
import { BLOCK_SIZE, parseServerAddress } from '#src/protocol/index.js';
import { sendFile } from '#src/transfer/index.js';

import {
  expectEmpty,
  expectFailure,
  expectReceived,
  makeFile,
  sendSample,
  transferContext,
  xftp,
} from '../support/transfers.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { bodyLie, type Lie, longer, type LyingRelay, startLyingRelay } from './lying-relay.js';

let relay: LyingRelay;

beforeEach(async () => {
  relay = await startLyingRelay();
});

/** Sends honestly, then receives while the relay lies. */
async function receiveLies(arrange: () => void): ReturnType<typeof xftp> {
  const sent = await sendSample(relay.address);
  arrange();
  const result = await xftp(['recv', sent.recipients[0], sent.into, '-r', '1', '-y']);
  await expectEmpty(sent.into);
  return result;
}

describe('A relay that lies about a chunk', () => {
  it('that is honest after all is believed', async () => {
    const sent = await sendSample(relay.address);
    const { exitCode } = await xftp(['recv', sent.recipients[0], sent.into, '-y']);
    expect(exitCode).toBe(0);
    await expectReceived(sent);
  });

  it.each([
    [
      'one byte too few',
      bodyLie((body) => body.subarray(1)),
      'CHUNK_SIZE',
      /sent \d+ of the \d+ bytes of a chunk\.$/,
    ],
    ['nothing', bodyLie(() => new Uint8Array()), 'CHUNK_SIZE', /sent 0 of the \d+ bytes of a chunk\.$/],
    [
      'one byte too many',
      bodyLie((body) => longer(body, 1)),
      'CHUNK_SIZE',
      /sent more bytes than the chunk has\.$/,
    ],
    [
      'megabytes too many',
      bodyLie((body) => longer(body, 9e6)),
      'CHUNK_SIZE',
      /sent more bytes than the chunk has\.$/,
    ],
    [
      'other bytes',
      bodyLie((body) => randomBytes(body.length)),
      'CHUNK_TAG',
      /was changed on its way from the relay\.$/,
    ],
  ] as const)('by sending %s is found out', async (_, lie, code, sentence) => {
    const result = await receiveLies(() => {
      relay.lie(lie);
    });
    expectFailure(result, code, sentence);
  });

  it('by sending other bytes under a right tag is found out', async () => {
    const result = await receiveLies(() => {
      relay.tamper((chunk) => randomBytes(chunk.length));
    });
    expectFailure(result, 'CHUNK_DIGEST', /is not what the sender uploaded/);
  });

  it('once, and then tells the truth, is forgiven', async () => {
    const sent = await sendSample(relay.address);
    let lies = 1;
    relay.lie(bodyLie((body) => (lies-- > 0 ? randomBytes(body.length) : body)));
    const result = await xftp(['recv', sent.recipients[0], sent.into, '-r', '2', '-y']);
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    await expectReceived(sent);
  });
});

describe('A relay that answers with nonsense', () => {
  const nonsense: readonly (readonly [string, Lie])[] = [
    ['a block of random bytes', () => ({ raw: randomBytes(BLOCK_SIZE) })],
    ['half a block', (request) => ({ raw: request.transmission.sessionId })],
    ['an empty answer', () => ({ raw: new Uint8Array() })],
    ['an answer for another session', (_, honest) => ({ ...honest, sessionId: randomBytes(32) })],
    ['an answer about something else', (_, honest) => ({ ...honest, entityId: randomBytes(16) })],
    [
      'the answer to another question',
      () => ({ response: { type: 'RIDS', recipientIds: [randomBytes(16)] } }),
    ],
  ];

  it.each(nonsense)('(%s) is told apart from a broken connection in both directions', async (_, lie) => {
    const result = await receiveLies(() => {
      relay.lie(lie);
    });
    expectFailure(
      result,
      'RELAY_PROTOCOL',
      /^The relay 127\.0\.0\.1:\d+ does not keep to the protocol: .+\.$/,
    );

    const source = await makeFile(await temporaryFolder(), 1000);
    const servers = [parseServerAddress(relay.address)];
    const sending = sendFile({ source, name: 'x', servers, recipients: 1, maxSize: 1e6 }, transferContext());
    await expect(sending).rejects.toMatchObject({ code: 'RELAY_PROTOCOL' });
  });

  it.each([
    ['DIGEST', 'CHUNK_DIGEST', /got other bytes than were sent\.$/],
    ['SIZE', 'CHUNK_SIZE', /got another number of bytes than was sent\.$/],
    [
      'FILE_IO',
      'RELAY_TEMPORARY',
      /had a problem of its own; trying later may help\. \(It said FILE_IO\.\)$/,
    ],
  ] as const)(
    'that rejects an upload with %s ends the upload with that reason',
    async (type, code, sentence) => {
      relay.lie(({ command }, honest) =>
        command.type === 'FPUT' ? { response: { type: 'ERR', error: { type } } } : honest,
      );
      const folder = await temporaryFolder();
      const source = await makeFile(folder, 1000);
      const result = await xftp(['send', source, folder, '-s', relay.address, '-r', '1']);
      expectFailure(result, code, sentence);
      expect(await readdir(folder)).toEqual(['sample.bin']);
    },
  );
});
