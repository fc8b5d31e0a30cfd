import { open, readFile, truncate, unlink, writeFile } from 'node:fs/promises';

import { beforeAll, describe, expect, it } from 'vitest';

import { cleanUp } from '../support/clean-up.js';
import { type RelayProcess, startRelayProcess } from '../support/relay-process.js';
import { expectEmpty, expectFailure, sendSample, type SentSample, xftp } from '../support/transfers.js';

let relay: RelayProcess;

beforeAll(async () => {
  const end = cleanUp();
  relay = await startRelayProcess({ onEnd: end.add });
  return end.run;
});

/** Sends a file of several chunks and tells where they are stored. */
async function sendChunks(): Promise<SentSample & { readonly chunks: readonly [string, ...string[]] }> {
  const before = new Set(await relay.chunkPaths());
  const sent = await sendSample(relay.address, { size: 1_200_000 });
  const [first = '', ...others] = (await relay.chunkPaths()).filter((path) => !before.has(path));
  return { ...sent, chunks: [first, ...others] };
}

/** Receives a damaged file: nothing may stay, and the description is still needed. */
async function receiveDamaged({ recipients, into }: SentSample): ReturnType<typeof xftp> {
  const result = await xftp(['recv', recipients[0], into, '-r', '1', '-y']);
  await expectEmpty(into);
  expect(await readFile(recipients[0], 'utf8')).toContain('party: recipient');
  return result;
}

describe('A chunk that is damaged on the disk of the relay', () => {
  it('is noticed by its digest when one byte has changed', async () => {
    const sent = await sendChunks();
    const file = await open(sent.chunks[0], 'r+');
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, 1000);
    await file.write(Buffer.of(buffer.readUInt8(0) ^ 1), 0, 1, 1000);
    await file.close();
    expectFailure(
      await receiveDamaged(sent),
      'CHUNK_DIGEST',
      /^Part \d of the file is not what the sender uploaded: the relay changed or mixed it up\.$/,
    );
  });

  it('counts as gone when it has become shorter', async () => {
    const sent = await sendChunks();
    await truncate(sent.chunks[0], 1000);
    expectFailure(await receiveDamaged(sent), 'CHUNK_GONE', /no longer has a part of this file/);
  });

  it('counts as gone when its file is missing', async () => {
    const sent = await sendChunks();
    await unlink(sent.chunks[0]);
    expectFailure(await receiveDamaged(sent), 'CHUNK_GONE', /no longer has a part of this file/);
  });
});

describe('A description that does not fit its file', () => {
  /** Replaces a field's value by that of another file's description. */
  async function withFieldOf(field: 'digest' | 'key'): Promise<SentSample> {
    const sent = await sendSample(relay.address);
    const other = await sendSample(relay.address);
    const line = new RegExp(`^${field}: .*$`, 'm');
    const [foreign = ''] = line.exec(await readFile(other.recipients[0], 'utf8')) ?? [];
    const text = await readFile(sent.recipients[0], 'utf8');
    await writeFile(sent.recipients[0], text.replace(line, foreign));
    return sent;
  }

  it('with another digest gives no file', async () => {
    expectFailure(
      await receiveDamaged(await withFieldOf('digest')),
      'FILE_CORRUPT',
      /its digest is not the one/,
    );
  });

  it('with another key gives no file', async () => {
    expectFailure(
      await receiveDamaged(await withFieldOf('key')),
      'FILE_CORRUPT',
      /^The .*file is (?:corrupted|damaged)/,
    );
  });
});
