import { appendFileSync, mkdirSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';

import { randomBytes, sha256 } from '#src/crypto/index.js';
import { bytesEqual } from '#src/protocol/index.js';
import { CipherPool, type PreparedSource, prepareSource, sealChunk } from '#src/transfer/index.js';
import { failing } from '../crypto/expected-failure.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { openFile, sealFile } from './stream-samples.js';

const KB = 1024;
const MB = 1024 * KB;
const NAME = 'source.bin';
const ciphers = new CipherPool(2);
const material = randomBytes(6 * MB);

afterAll(() => ciphers.close());

async function sourceOf(content: Uint8Array): Promise<string> {
  const path = join(await temporaryFolder(), NAME);
  writeFileSync(path, content);
  // An old date, so that the coarse clock of the file system does not hide a change.
  utimesSync(path, 1e9, 1e9);
  return path;
}

function requestFor(path: string, name = NAME): Parameters<typeof prepareSource>[0] {
  return { path, name, key: randomBytes(32), nonce: randomBytes(24), maxSize: 1e9 };
}

async function madeAgain(
  source: PreparedSource,
  number: number,
): Promise<{ body: Uint8Array; size: number; digest: Uint8Array }> {
  const memory = ciphers.memory.take(4 * MB).fill(0xaa);
  try {
    const offset = source.chunkSizes.slice(0, number - 1).reduce((sum, before) => sum + before, 0);
    const size = source.chunkSizes[number - 1]!;
    const digest = await sealChunk(source, { offset, size }, memory, ciphers);
    if (memory.subarray(size).some((byte) => byte !== 0xaa)) throw new Error('Wrote beyond the chunk.');
    return { body: memory.slice(0, size), size, digest };
  } finally {
    ciphers.memory.give(memory);
  }
}

describe('a prepared source', () => {
  const lengths = fc.oneof(
    fc.constantFrom(0, 1, 65_000, 170 * KB, 700 * KB, 1_200_000, 3 * MB, 5 * MB),
    fc.integer({ min: 0, max: 2 * MB }),
  );

  it(
    'gives the chunks of one pass again, in any order and at the same time',
    { timeout: 60_000 },
    async () => {
      const folder = await temporaryFolder();
      const runs = fc.asyncProperty(
        lengths,
        fc.string({ maxLength: 60 }),
        fc.infiniteStream(fc.nat()),
        async (length, name, order) => {
          const path = join(folder, NAME);
          writeFileSync(path, material.subarray(0, length));
          const request = requestFor(path, name);
          const sealed = sealFile({ ...request });
          const chunks: unknown[] = [];
          const { source, digest } = await prepareSource(request, {
            ciphers,
            onChunk: ({ number, size, digest, bytes }) => {
              chunks.push({ size, digest });
              expect(bytesEqual(bytes, sealed.bodies[number - 1]!)).toBe(true);
            },
          });
          expect(chunks).toStrictEqual(sealed.chunks);
          expect(digest).toStrictEqual(sealed.digest);
          // What the database gives back is equal, not the same.
          const stored = structuredClone(source);
          const numbers = sealed.chunks.map((_, index) => index + 1);
          const shuffled = numbers
            .map((number) => ({ number, by: order.next().value as number }))
            .sort((a, b) => a.by - b.by);
          await Promise.all(
            shuffled.map(async ({ number }) => {
              const { body, ...facts } = await madeAgain(stored, number);
              expect(facts).toStrictEqual(sealed.chunks[number - 1]);
              expect(bytesEqual(body, sealed.bodies[number - 1]!)).toBe(true);
            }),
          );
        },
      );
      await fc.assert(runs, { numRuns: 25 });
    },
  );

  it('has one chunk of the smallest size that holds it, for a redirect', async () => {
    for (const [length, size] of [
      [100, 64 * KB],
      [150 * KB, 256 * KB],
      [300 * KB, MB],
      [2 * MB, 4 * MB],
    ] as const) {
      const content = material.subarray(0, length);
      const request = requestFor(await sourceOf(content), '');
      const { source, digest } = await prepareSource({ ...request, plan: 'single' }, { ciphers });
      expect(source.chunkSizes).toStrictEqual([size]);
      const { body, ...chunk } = await madeAgain(source, 1);
      const { key, nonce } = source;
      const opened = openFile({ key, nonce, digest, chunks: [chunk] }, [body]);
      expect(bytesEqual(opened.content, content)).toBe(true);
    }
    const tooLarge = requestFor(await sourceOf(material));
    await expect(prepareSource({ ...tooLarge, plan: 'single' }, { ciphers })).rejects.toThrow(
      failing('FILE_TOO_LARGE'),
    );
  });

  it('is planned before its first chunk, and waits for whoever takes a chunk', async () => {
    const events: unknown[] = [];
    const request = requestFor(await sourceOf(material.subarray(0, 170 * KB)));
    await prepareSource(request, {
      ciphers,
      onPlan: (plan) => {
        events.push(plan);
      },
      onChunk: async ({ number, digest, bytes }) => {
        await new Promise(setImmediate);
        expect(sha256(bytes)).toStrictEqual(digest);
        events.push(number);
      },
    });
    const chunkSizes = [64 * KB, 64 * KB, 64 * KB];
    const plan = { chunkSizes, sourceSize: 170 * KB, encryptedSize: 192 * KB };
    expect(events).toStrictEqual([plan, 1, 2, 3]);
  });

  it('stops between two chunks when it is cancelled, or when its taker fails', async () => {
    const request = requestFor(await sourceOf(material.subarray(0, 170 * KB)));
    const controller = new AbortController();
    const taken: number[] = [];
    const onChunk = ({ number }: { number: number }): void => {
      taken.push(number);
      if (number === 2) controller.abort();
    };
    const { signal } = controller;
    await expect(prepareSource(request, { ciphers, signal, onChunk })).rejects.toThrow(failing('CANCELLED'));
    await expect(prepareSource(request, { ciphers, signal, onChunk })).rejects.toThrow(failing('CANCELLED'));
    expect(taken).toStrictEqual([1, 2]);
    const onPlan = (): void => {
      throw new Error('The database is gone.');
    };
    await expect(prepareSource(request, { ciphers, onPlan })).rejects.toThrow('The database is gone.');
  });

  it('fails as sealing does: missing, too large, changed meanwhile', async () => {
    const path = await sourceOf(material.subarray(0, 170 * KB));
    const request = requestFor(path);
    const outcome = (change: Partial<typeof request>): Promise<unknown> =>
      prepareSource({ ...request, ...change }, { ciphers }).catch((error: unknown) => error);
    expect(await outcome({ path: `${path}.gone` })).toStrictEqual(failing('SOURCE_MISSING'));
    expect(await outcome({ maxSize: 100 })).toStrictEqual(failing('FILE_TOO_LARGE'));
    const onChunk = (): void => {
      appendFileSync(path, 'x');
    };
    await expect(prepareSource(request, { ciphers, onChunk })).rejects.toThrow(failing('SOURCE_CHANGED'));
  });
});

describe('making a chunk again', () => {
  it.each<[string, (path: string) => void]>([
    [
      'grew',
      (path) => {
        appendFileSync(path, 'x');
      },
    ],
    [
      'shrank',
      (path) => {
        truncateSync(path, 1);
      },
    ],
    [
      'was touched',
      (path) => {
        utimesSync(path, 1, 1);
      },
    ],
    [
      'became a folder',
      (path) => {
        rmSync(path);
        mkdirSync(path);
      },
    ],
  ])('is SOURCE_CHANGED when the source %s', async (_, change) => {
    const path = await sourceOf(material.subarray(0, 170 * KB));
    const { source } = await prepareSource(requestFor(path), { ciphers });
    change(path);
    for (const number of [1, 2, 3])
      await expect(madeAgain(source, number)).rejects.toThrow(failing('SOURCE_CHANGED'));
  });

  it('is SOURCE_MISSING when the source is gone', async () => {
    const path = await sourceOf(material.subarray(0, 10));
    const { source } = await prepareSource(requestFor(path), { ciphers });
    rmSync(path);
    await expect(madeAgain(source, 1)).rejects.toThrow(failing('SOURCE_MISSING'));
  });

  it('gives another digest when the source changed and hides it', async () => {
    const path = await sourceOf(material.subarray(0, 10));
    const { source } = await prepareSource(requestFor(path), { ciphers });
    const { digest } = await madeAgain(source, 1);
    writeFileSync(path, material.subarray(10, 20));
    utimesSync(path, 1e9, 1e9);
    expect((await madeAgain(source, 1)).digest).not.toStrictEqual(digest);
  });

  it('needs a range that there is, and memory that threads share', async () => {
    const { source } = await prepareSource(requestFor(await sourceOf(new Uint8Array(10))), { ciphers });
    const memory = ciphers.memory.take(MB);
    for (const [offset, size] of [
      [0, 64 * KB + 1],
      [64 * KB, 1],
      [-1, 10],
      [0.5, 10],
      [0, 0],
    ] as const)
      await expect(sealChunk(source, { offset, size }, memory, ciphers)).rejects.toThrow(
        failing('INVALID_ARGUMENT'),
      );
    ciphers.memory.give(memory);
    await expect(
      sealChunk(source, { offset: 0, size: 64 * KB }, new Uint8Array(MB), ciphers),
    ).rejects.toThrow(failing('INVALID_ARGUMENT'));
  });
});
