import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { encodeBase64Url, parseDescription } from '#src/protocol/index.js';

import { cleanUp } from '../support/clean-up.js';
import { type RelayProcess, startRelayProcess } from '../support/relay-process.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { testRelay } from '../support/test-relay.js';
import {
  expectEmpty,
  expectFailure,
  expectReceived,
  makeFile,
  sendSample,
  type SentSample,
  xftp,
} from '../support/transfers.js';

/** Sends a file, which must fail, and proves that no description is left. */
async function sendInVain(servers: string, size = 1000): ReturnType<typeof xftp> {
  const folder = await temporaryFolder();
  const target = join(folder, 'descriptions');
  await mkdir(target);
  const source = await makeFile(folder, size);
  const result = await xftp(['send', source, target, '-s', servers, '-r', '2']);
  await expectEmpty(target);
  return result;
}

/** Receives a file, which must fail, and proves that nothing is left of it. */
async function receiveInVain({ recipients, into }: SentSample): ReturnType<typeof xftp> {
  const result = await xftp(['recv', recipients[0], into, '-r', '2', '-y']);
  await expectEmpty(into);
  expect(await readFile(recipients[0], 'utf8')).toContain('party: recipient');
  return result;
}

/** An address or description with the fingerprint of nobody. */
function withWrongFingerprint(text: string): string {
  return text.replaceAll(/xftp:\/\/[\w-]+=?/g, `xftp://${encodeBase64Url(new Uint8Array(32).fill(7))}`);
}

const REFUSED =
  /^The relay 127\.0\.0\.1:\d+ does not accept new files from you: it wants a password .*, the password is wrong, or uploads are switched off there\.$/;

describe('A relay that takes no file', () => {
  let closed: RelayProcess;

  beforeAll(async () => {
    const end = cleanUp();
    closed = await startRelayProcess({ onEnd: end.add, ini: { create_password: 'correct-horse' } });
    return end.run;
  });

  it('without its password says so', async () => {
    expectFailure(await sendInVain(closed.address), 'RELAY_REFUSED', REFUSED);
  });

  it('with another password says so and repeats neither password', async () => {
    const result = await sendInVain(closed.addressWith({ password: 'wrong-battery' }));
    expectFailure(result, 'RELAY_REFUSED', REFUSED);
    expect(result.stderr).not.toMatch(/wrong-battery|correct-horse/);
  });

  it('takes one with its password, which is in no description', async () => {
    const sent = await sendSample(closed.addressWith({ password: 'correct-horse' }));
    for (const path of [...sent.recipients, sent.sender])
      expect(await readFile(path, 'utf8')).not.toContain('correct-horse');
    expect(await xftp(['recv', sent.recipients[0], sent.into, '-y'])).toMatchObject({ exitCode: 0 });
    await expectReceived(sent);
  });

  it('because uploads are switched off still hands out the files that it has', async () => {
    const own = await startRelayProcess();
    const sent = await sendSample(own.address);
    await own.stop();
    await own.editIni({ new_files: 'off' });
    await own.start();
    expectFailure(await sendInVain(own.address), 'RELAY_REFUSED', REFUSED);
    expect(await xftp(['recv', sent.recipients[0], sent.into, '-y'])).toMatchObject({ exitCode: 0 });
    await expectReceived(sent);
  });

  it('because its quota is used up says so', async () => {
    const own = await startRelayProcess({ quota: 1024 ** 2 });
    expectFailure(
      await sendInVain(own.address, 3_000_000),
      'RELAY_FULL',
      /^The relay 127\.0\.0\.1:\d+ is full: send through another relay, or try again later\.$/,
    );
  });
});

let relay: RelayProcess;

beforeAll(async () => {
  const end = cleanUp();
  relay = await startRelayProcess({ onEnd: end.add });
  return end.run;
});

describe('A relay that is not the one in the address', () => {
  const mismatch = /^(?=.*127\.0\.0\.1:\d+)(?=.*(?:certificate|fingerprint|identity)).*\.$/;

  it('gets no file', async () => {
    const before = await relay.chunkPaths();
    const result = await sendInVain(withWrongFingerprint(relay.address));
    expectFailure(result, 'IDENTITY_MISMATCH', mismatch);
    expect(await relay.chunkPaths()).toEqual(before);
  });

  it('is not asked for a file', async () => {
    const sent = await sendSample(relay.address);
    const text = await readFile(sent.recipients[0], 'utf8');
    await writeFile(sent.recipients[0], withWrongFingerprint(text));
    expectFailure(await receiveInVain(sent), 'IDENTITY_MISMATCH', mismatch);
  });
});

describe('A file that is no longer on its relay', () => {
  const gone =
    /^The relay 127\.0\.0\.1:\d+ no longer has a part of this file: it has expired, was deleted, or this description was used already\.$/;

  it('because it was deleted gives one sentence, to the recipient and to who deletes it again', async () => {
    const sent = await sendSample(relay.address);
    expect(await xftp(['del', sent.sender])).toMatchObject({ exitCode: 0 });
    expectFailure(await receiveInVain(sent), 'CHUNK_GONE', gone);
    expectFailure(
      await xftp(['del', sent.sender, '-y']),
      'CHUNK_GONE',
      /does not know a part of this file: it has expired or was deleted\.$/,
    );
    expect(await readFile(sent.sender, 'utf8')).toContain('party: sender');
  });

  it('because it has expired gives the same sentence', async () => {
    let now = Date.now();
    const expiring = await testRelay({ host: '127.0.0.1', now: () => now });
    const sent = await sendSample(expiring.address);
    now += 51 * 3600 * 1000;
    await expiring.expire();
    expectFailure(await receiveInVain(sent), 'CHUNK_GONE', gone);
  });

  it('because the operator blocked it gives the reason', async () => {
    const sent = await sendSample(relay.address, { size: 1000 });
    await relay.stop();
    const { chunks } = parseDescription(await readFile(sent.sender, 'utf8'));
    const senderId = encodeBase64Url(chunks[0]!.replicas[0]!.id);
    await appendFile(relay.storeLogPath, `FBLK ${senderId} reason=spam\n`);
    await relay.start();
    expectFailure(
      await receiveInVain(sent),
      'CHUNK_BLOCKED',
      /^The relay 127\.0\.0\.1:\d+ reports that its operator has blocked this file \(reason: spam\)\.$/,
    );
  });
});
