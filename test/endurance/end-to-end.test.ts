import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import {
  encodeFileHeader,
  type FileDescription,
  parseServerAddress,
  payloadLength,
  planChunkSizes,
} from '#src/protocol/index.js';
import { type RelayOptions, type RunningRelay, startRelay } from '#src/relay/index.js';
import { acknowledgeFile, deleteFile, receiveFile, sendFile, type SentFile } from '#src/transfer/index.js';

import { temporaryFolder } from '../support/temporary-folder.js';
import { transferContext } from '../support/transfers.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const NAME = 'a.bin';

/** Relays in this process; they keep nothing but chunks. */
async function startRelays(count: number, options: Partial<RelayOptions> = {}): Promise<RunningRelay[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const relay = await startRelay({
        filesPath: join(await temporaryFolder(), 'chunks'),
        host: '127.0.0.1',
        listenHost: '127.0.0.1',
        ...options,
      });
      onTestFinished(() => relay.stop());
      return relay;
    }),
  );
}

type Context = ReturnType<typeof transferContext>;

/** Sends these bytes as a file. */
async function sendBytes(
  bytes: Uint8Array,
  relays: readonly RunningRelay[],
  context: Context,
  options: { readonly recipients?: number; readonly password?: string } = {},
): Promise<SentFile> {
  const source = join(await temporaryFolder(), 'source');
  await writeFile(source, bytes);
  const { recipients = 1, password } = options;
  const servers = relays.map(({ address }) => ({
    ...parseServerAddress(address),
    ...(password === undefined ? {} : { password }),
  }));
  return sendFile({ source, name: NAME, servers, recipients, maxSize: bytes.length }, context);
}

/** Receives a file and gives its bytes. */
async function receiveBytes(description: FileDescription, context: Context): Promise<Buffer> {
  const folder = await temporaryFolder();
  const received = await receiveFile({ description, destination: { folder } }, context);
  expect(received.path).toBe(join(folder, NAME));
  const bytes = await readFile(received.path);
  expect(received.size).toBe(bytes.length);
  return bytes;
}

/** Payloads at which the number or size of the chunks changes (protocol reference, section 6.3). */
const BOUNDARIES: readonly number[] = [
  64 * KIB,
  128 * KIB,
  192 * KIB,
  256 * KIB,
  320 * KIB,
  448 * KIB,
  512 * KIB,
  768 * KIB,
  MIB,
  MIB + 256 * KIB,
  2 * MIB,
  2 * MIB + 768 * KIB,
  3 * MIB,
  4 * MIB,
  5 * MIB,
  7 * MIB,
  8 * MIB,
  9 * MIB + 256 * KIB,
];
/** Bytes around the content: length prefix, header, tag. */
const OVERHEAD = payloadLength(encodeFileHeader({ name: NAME }), 0);

describe('A file', () => {
  const content = randomBytes(10 * MIB);

  it.each([0, 1, ...BOUNDARIES.map((boundary) => boundary - OVERHEAD)])(
    'of %i bytes, and one byte around it, comes back as it was, in the chunks of the table',
    async (size) => {
      const relays = await startRelays(1);
      const context = transferContext();
      for (const length of size < 2 ? [size] : [size - 1, size, size + 1]) {
        const bytes = content.subarray(0, length);
        const { recipients } = await sendBytes(bytes, relays, context);
        const [description] = recipients;
        expect(description!.chunks.map((chunk) => chunk.size)).toEqual(planChunkSizes(OVERHEAD + length));
        expect((await receiveBytes(description!, context)).equals(bytes)).toBe(true);
      }
    },
  );
});

describe('A file for several recipients', () => {
  it.each([1, 2, 300])('(%i of them) is there for each, over one relay and over three', async (count) => {
    const bytes = randomBytes(100_000);
    for (const relays of [await startRelays(1), await startRelays(3)]) {
      const context = transferContext();
      const { recipients, sender } = await sendBytes(bytes, relays, context, { recipients: count });
      expect(recipients).toHaveLength(count);
      const ids = new Set(
        recipients.map(({ chunks }) => Buffer.from(chunks[0]!.replicas[0]!.id).toString('hex')),
      );
      expect(ids.size).toBe(count);
      for (const [index, description] of recipients.entries())
        if (index % 50 === 0 || index === count - 1)
          expect((await receiveBytes(description, context)).equals(bytes)).toBe(true);

      // One recipient's acknowledgement ends that access alone; the sender's deletion ends all.
      await acknowledgeFile(recipients[0]!, context);
      await expect(receiveBytes(recipients[0]!, context)).rejects.toMatchObject({ code: 'CHUNK_GONE' });
      if (count > 1) expect((await receiveBytes(recipients[1]!, context)).equals(bytes)).toBe(true);
      await deleteFile(sender, context);
      await expect(receiveBytes(recipients.at(-1)!, context)).rejects.toMatchObject({ code: 'CHUNK_GONE' });
      expect(relays.map((relay) => relay.usedBytes())).toEqual(relays.map(() => 0));
      expect(context.warnings).toEqual([]);
    }
  });
});

describe('A file of many chunks', () => {
  it('is spread over three relays, and the recipient puts it together again', async () => {
    // 32 chunks: a relay is left out by chance once in 140 000 runs.
    const bytes = Buffer.alloc(127 * MIB, 'not all the same');
    const relays = await startRelays(3);
    const context = transferContext();
    const { recipients } = await sendBytes(bytes, relays, context);
    const used = new Set(recipients[0]!.chunks.map(({ replicas }) => replicas[0]!.server.port));
    expect([...used].sort()).toEqual(relays.map(({ port }) => port).sort());
    expect((await receiveBytes(recipients[0]!, context)).equals(bytes)).toBe(true);
  });

  it('sent several times at once over shared sessions and threads comes back each time', async () => {
    const relays = await startRelays(2);
    const context = transferContext();
    const files = Array.from({ length: 6 }, (_, index) => randomBytes(3 * MIB + index));
    const sent = await Promise.all(files.map((bytes) => sendBytes(bytes, relays, context)));
    const received = await Promise.all(sent.map(({ recipients }) => receiveBytes(recipients[0]!, context)));
    expect(received.map((bytes, index) => bytes.equals(files[index]!))).toEqual(files.map(() => true));
  });
});

describe('A relay with a password', () => {
  let bytes: Buffer;

  beforeAll(() => {
    bytes = randomBytes(1000);
  });

  it('takes a file from who knows it, and hands it out without', async () => {
    const relays = await startRelays(1, { createPassword: 'correct-horse' });
    const context = transferContext();
    const { sender, recipients } = await sendBytes(bytes, relays, context, { password: 'correct-horse' });
    const servers = [sender, ...recipients].flatMap(({ chunks }) =>
      chunks.map(({ replicas }) => replicas[0]!.server),
    );
    expect(servers.filter(({ password }) => password !== undefined)).toEqual([]);
    expect((await receiveBytes(recipients[0]!, context)).equals(bytes)).toBe(true);
    await deleteFile(sender, context);
  });

  it('takes none from others', async () => {
    const relays = await startRelays(1, { createPassword: 'correct-horse' });
    for (const options of [{}, { password: 'wrong' }])
      await expect(sendBytes(bytes, relays, transferContext(), options)).rejects.toMatchObject({
        code: 'RELAY_REFUSED',
      });
  });
});
