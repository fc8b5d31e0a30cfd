import {
  existsSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';

import { randomBytes, sha256 } from '#src/crypto/index.js';
import { bytesEqual, planChunkSizes } from '#src/protocol/index.js';
import { CipherPool, finishPart, openChunk, openFirstChunk, verifyPart } from '#src/transfer/index.js';
import { failing } from '../crypto/expected-failure.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import {
  downloadOf,
  encryptedFileOf,
  receiveParts,
  sealedByHand,
  type SentSample,
  verificationOf,
} from './part-samples.js';
import { recordedFiles } from './recorded-files.js';
import { sealFile } from './stream-samples.js';

const KB = 1024;
const NAME = 'source.bin';
const ciphers = new CipherPool(2);
const material = randomBytes(5 * KB * KB);
const TAG = 16;
const OVERHEAD = 8 + 1 + NAME.length + 1 + TAG;

afterAll(() => ciphers.close());

async function partPath(): Promise<string> {
  return join(await temporaryFolder(), '.random.part');
}

const planned = (length: number, padding = 0x23): SentSample =>
  sealedByHand(NAME, material.subarray(0, length), planChunkSizes(length + OVERHEAD), { padding });

/** Receives in the given order, verifies, and returns the content under its final name. */
async function received(
  sent: SentSample,
  order?: readonly number[],
): Promise<{ name: string; content: Uint8Array }> {
  const part = await partPath();
  const { prefix, header, contentLength } = await receiveParts(sent, part, ciphers, order);
  expect(statSync(part).mode & 0o777).toBe(0o600);
  const seen: number[] = [];
  const onChunk = (number: number): void => {
    seen.push(number);
  };
  const verification = verificationOf(sent, part, prefix);
  expect(await verifyPart(verification, { ciphers, onChunk })).toStrictEqual({ torn: [] });
  expect(seen).toStrictEqual(sent.chunks.map((_, index) => index + 1));
  const directory = await temporaryFolder();
  const request = { partPath: part, contentLength, directory, name: 'got', onConflict: 'fail' } as const;
  const path = await finishPart(request, { ciphers, onChosen: () => undefined });
  return { name: header.name, content: readFileSync(path) };
}

function expectContent(got: { name: string; content: Uint8Array }, content: Uint8Array, name = NAME): void {
  expect([got.name, got.content.length, bytesEqual(got.content, content)]).toStrictEqual([
    name,
    content.length,
    true,
  ]);
}

describe('a file whose chunks are opened one by one', () => {
  it.each([
    0,
    1,
    65_000,
    65_536 - OVERHEAD,
    65_537 - OVERHEAD,
    65_552 - OVERHEAD,
    170 * KB,
    900_000,
    4_300_000,
  ])('of %i bytes is the same in the end', async (length) => {
    const path = join(await temporaryFolder(), NAME);
    writeFileSync(path, material.subarray(0, length));
    const sent = sealFile({ path, name: NAME });
    expectContent(await received(sent, [...sent.bodies.keys()].reverse()), material.subarray(0, length));
  });

  it('may have any padding and any chunk sizes, a tag across chunks too', async () => {
    const file = fc.record({
      length: fc.nat(2000),
      room: fc.nat(300),
      padding: fc.nat(255),
      cuts: fc.array(fc.nat(), { maxLength: 6 }),
      last: fc.constantFrom(0, 1, 15, 16, 17),
    });
    const runs = fc.asyncProperty(file, async ({ length, room, padding, cuts, last }) => {
      const size = length + OVERHEAD + room;
      // The header must be in the first chunk.
      const header = OVERHEAD - TAG;
      const ends = [...cuts.map((cut) => OVERHEAD + (cut % (size - OVERHEAD + 1))), size - last, size].filter(
        (end) => end >= header,
      );
      const borders = [...new Set(ends)].sort((a, b) => a - b);
      const sizes = borders.map((end, index) => end - (borders[index - 1] ?? 0));
      const content = material.subarray(0, length);
      const sent = sealedByHand(NAME, content, sizes, { padding });
      expectContent(await received(sent, [...sizes.keys()].reverse()), content);
    });
    await fc.assert(runs, { numRuns: 40 });
  });

  const stored = recordedFiles.flatMap(({ chunks, ...file }) =>
    chunks === undefined ? [] : [{ ...file, chunks }],
  );

  it.each(stored)(
    'is $name of the reference command line',
    async ({ name, content, description, chunks }) => {
      const sent = { ...description, bodies: chunks };
      expectContent(await received(sent, [...chunks.keys()].reverse()), content, name);
    },
  );
});

describe('a part file after a crash', () => {
  const damage = fc.record({
    kind: fc.constantFrom('flip', 'zero', 'cut'),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.integer({ min: 1, max: 100_000 }),
  });

  it(
    'is known for exactly the chunks that are torn, and right when these came again',
    { timeout: 60_000 },
    async () => {
      const sent = planned(1_200_000, 0);
      const sizes = sent.chunks.map(({ size }) => size);
      const starts = sizes.map((_, index) => sizes.slice(0, index).reduce((sum, size) => sum + size, 0));
      const part = await partPath();
      const { prefix } = await receiveParts(sent, part, ciphers);
      const good = readFileSync(part);
      const verification = verificationOf(sent, part, prefix);
      const runs = fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 3 }), async (damages) => {
        let bad: Uint8Array = new Uint8Array(good);
        for (const { kind, at, length } of damages) {
          const start = Math.floor(at * (bad.length - 1));
          if (kind === 'cut') bad = bad.slice(0, start);
          else if (kind === 'zero') bad.fill(0, start, start + length);
          else if (bad.length > 0) bad[start] = bad[start]! ^ 1;
        }
        writeFileSync(part, bad);
        const torn = sizes.flatMap((size, index) => {
          const [from, to] = [
            Math.max(0, starts[index]! - prefix.length),
            starts[index]! + size - prefix.length,
          ];
          return good.subarray(from, to).equals(bad.subarray(from, to)) ? [] : [index + 1];
        });
        expect(await verifyPart(verification, { ciphers })).toStrictEqual({ torn });
        for (const number of torn.reverse())
          await openChunk(
            {
              file: encryptedFileOf(sent),
              downloaded: downloadOf(sent, number - 1),
              partPath: part,
              contentOffset: prefix.length,
            },
            ciphers,
          );
        expect(await verifyPart(verification, { ciphers })).toStrictEqual({ torn: [] });
        expect(good.equals(readFileSync(part))).toBe(true);
      });
      await fc.assert(runs, { numRuns: 25 });
    },
  );

  it('lacks every chunk when it is missing or empty, and is made again', async () => {
    const sent = planned(170 * KB);
    const part = await partPath();
    const { prefix } = await receiveParts(sent, part, ciphers);
    const verification = verificationOf(sent, part, prefix);
    truncateSync(part);
    expect(await verifyPart(verification, { ciphers })).toStrictEqual({ torn: [1, 2, 3] });
    unlinkSync(part);
    expect(await verifyPart(verification, { ciphers })).toStrictEqual({ torn: [1, 2, 3] });
    const file = encryptedFileOf(sent);
    const opened = { partPath: part, contentOffset: prefix.length };
    await openChunk({ file, downloaded: downloadOf(sent, 2), ...opened }, ciphers);
    expect(statSync(part).mode & 0o777).toBe(0o600);
    expect(await verifyPart(verification, { ciphers })).toStrictEqual({ torn: [1, 2] });
  });

  it('is FILE_CORRUPT when all chunks are right and the whole is not', async () => {
    const content = material.subarray(0, 100_000);
    const sizes = [64 * KB, 64 * KB];
    const good = sealedByHand(NAME, content, sizes);
    const lying = [
      { ...good, digest: randomBytes(64) },
      sealedByHand(NAME, content, sizes, { wrongTag: true }),
    ];
    for (const sent of lying) {
      const part = await partPath();
      const { prefix } = await receiveParts(sent, part, ciphers);
      await expect(verifyPart(verificationOf(sent, part, prefix), { ciphers })).rejects.toThrow(
        failing('FILE_CORRUPT'),
      );
    }
  });

  it('is verified until it is cancelled', async () => {
    const sent = planned(170 * KB);
    const part = await partPath();
    const { prefix } = await receiveParts(sent, part, ciphers);
    const controller = new AbortController();
    const seen: number[] = [];
    const onChunk = (number: number): void => {
      seen.push(number);
      controller.abort();
    };
    const context = { ciphers, signal: controller.signal, onChunk };
    await expect(verifyPart(verificationOf(sent, part, prefix), context)).rejects.toThrow(
      failing('CANCELLED'),
    );
    expect(seen).toStrictEqual([1]);
  });

  it('cannot be verified when it is a folder: a failure of the project', async () => {
    const sent = planned(10);
    const folder = await temporaryFolder();
    await expect(verifyPart(verificationOf(sent, folder, new Uint8Array(9)), { ciphers })).rejects.toThrow(
      failing('INVALID_ARGUMENT'),
    );
  });
});

describe('the first chunk', () => {
  it('is looked at before anything is written', async () => {
    const sent = planned(1000);
    const part = await partPath();
    const request = { file: encryptedFileOf(sent), partPath: part };
    const checkContent = ({ header, contentLength }: { header: object; contentLength: number }): never => {
      throw new Error(`No room for ${JSON.stringify(header)} of ${String(contentLength)}.`);
    };
    const refused = openFirstChunk({ ...request, downloaded: downloadOf(sent, 0), checkContent }, ciphers);
    await expect(refused).rejects.toThrow(`No room for {"name":"${NAME}"} of 1000.`);
    expect(existsSync(part)).toBe(false);
  });

  it('makes the part file, and takes one that is there or a link only if it may', async () => {
    const sent = planned(1000);
    const part = await partPath();
    const open = (path: string, resume: boolean): Promise<unknown> =>
      openFirstChunk(
        { file: encryptedFileOf(sent), partPath: path, downloaded: downloadOf(sent, 0), resume },
        ciphers,
      );
    await open(part, false);
    await expect(open(part, false)).rejects.toThrow(failing('FILE_EXISTS'));
    await open(part, true);
    symlinkSync(`${part}.elsewhere`, `${part}.link`);
    await expect(open(`${part}.link`, false)).rejects.toThrow(failing('FILE_EXISTS'));
    await expect(open(`${part}.link`, true)).rejects.toThrow(failing('LOCAL_IO'));
    await expect(open(join(part, 'gone'), true)).rejects.toThrow(failing('SOURCE_MISSING'));
    expect(existsSync(`${part}.elsewhere`)).toBe(false);
  });

  it('of a sender who lies about the header is FILE_CORRUPT', async () => {
    const part = await partPath();
    const content = material.subarray(0, 1000);
    const tooLittle = sealedByHand(NAME, content, [64 * KB]);
    const nonsense = { ...tooLittle, key: randomBytes(32) };
    const tooMuch = { ...tooLittle, bodies: [tooLittle.bodies[0]!.slice(0, 500)] };
    const short = { ...tooMuch, chunks: [{ size: 500, digest: sha256(tooMuch.bodies[0]!) }] };
    for (const sent of [nonsense, short]) {
      const request = { file: encryptedFileOf(sent), partPath: part, downloaded: downloadOf(sent, 0) };
      await expect(openFirstChunk(request, ciphers)).rejects.toThrow(failing('FILE_CORRUPT'));
    }
    expect(existsSync(part)).toBe(false);
  });
});

describe('a chunk', () => {
  it('that the relay changed or mixed up is not written', async () => {
    const sent = planned(170 * KB);
    const part = await partPath();
    const { prefix } = await receiveParts(sent, part, ciphers, [0]);
    const request = { file: encryptedFileOf(sent), partPath: part, contentOffset: prefix.length };
    const before = readFileSync(part);
    const changed = downloadOf(sent, 1);
    changed.box[7] = changed.box[7]! ^ 1;
    await expect(openChunk({ ...request, downloaded: changed }, ciphers)).rejects.toThrow(
      failing('CHUNK_TAG'),
    );
    const other = { ...downloadOf(sent, 2), digest: sent.chunks[1]!.digest, index: 1 };
    await expect(openChunk({ ...request, downloaded: other }, ciphers)).rejects.toThrow(
      failing('CHUNK_DIGEST'),
    );
    expect(before.equals(readFileSync(part))).toBe(true);
  });

  it('must be one of the file, in memory that threads share', async () => {
    const sent = planned(10);
    const request = { file: encryptedFileOf(sent), partPath: await partPath(), contentOffset: 9 };
    const chunk = downloadOf(sent, 0);
    for (const downloaded of [
      { ...chunk, index: 1 },
      { ...chunk, box: new Uint8Array(chunk.box) },
    ])
      await expect(openChunk({ ...request, downloaded }, ciphers)).rejects.toThrow(
        failing('INVALID_ARGUMENT'),
      );
  });
});
