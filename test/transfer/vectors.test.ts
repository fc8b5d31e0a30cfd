import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { sha256, sha512 } from '#src/crypto/index.js';
import {
  bytesEqual,
  checkRedirect,
  concatBytes,
  decodeUtf8,
  encodeUtf8,
  type FileDescription,
  parseDescription,
} from '#src/protocol/index.js';
import { failing } from '../crypto/expected-failure.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { recipientDescriptions, recordedFiles, recordedRedirect, redirectBodies } from './recorded-files.js';
import { openFile, sealFile } from './stream-samples.js';

const stored = recordedFiles.flatMap(({ chunks, ...file }) =>
  chunks === undefined ? [] : [{ ...file, chunks }],
);

it('every file of the reference command line that was not deleted or blocked is there to be opened', () => {
  expect(recordedFiles).toHaveLength(10);
  const gone = recordedFiles.filter(({ chunks }) => chunks === undefined).map(({ name }) => name);
  expect(gone).toStrictEqual(['blocked.txt', 'deleted.txt']);
});

describe.each(stored)('the recorded file $name', ({ name, content, description, chunks }) => {
  it('opens to its content and name', () => {
    expectOpened(openFile(description, chunks), { name, content });
  });

  it('has the digests of its description', () => {
    expectDigests(description, chunks);
  });

  it('is the same in the descriptions of all recipients', () => {
    const recipients = recipientDescriptions(name);
    expect(recipients.length).toBeGreaterThan(1);
    for (const recipient of recipients) {
      const { key, nonce, digest, size, chunkSize } = recipient;
      expect({ key, nonce, digest, size, chunkSize }).toStrictEqual(
        (({ key, nonce, digest, size, chunkSize }) => ({ key, nonce, digest, size, chunkSize }))(description),
      );
      expectOpened(openFile(recipient, chunks), { name, content });
    }
  });

  it('opens to the same when its chunks arrive in any order', () => {
    const order = fc.shuffledSubarray([...chunks.keys()], { minLength: chunks.length });
    fc.assert(
      fc.property(order, (indexes) => {
        expectOpened(openFile(description, chunks, indexes), { name, content });
      }),
      { numRuns: chunks.length === 1 ? 1 : 8 },
    );
  });
});

describe.each(recordedFiles)('sealing the source of the recorded file $name', (file) => {
  it('with its key and nonce gives its chunks and digests, byte for byte', async () => {
    const path = join(await temporaryFolder(), 'source');
    writeFileSync(path, file.content);
    const { key, nonce } = file.description;
    const sealed = sealFile({ path, name: file.name, key, nonce });
    expect(sealed.sourceSize).toBe(file.content.length);
    expectSealed(sealed, file.description);
    for (const [index, body] of (file.chunks ?? []).entries())
      expect(bytesEqual(sealed.bodies[index]!, body)).toBe(true);
  });
});

describe('the recorded redirect of the browser client', () => {
  const outer = recordedRedirect.description;
  const outerBodies = redirectBodies(outer);
  const opened = openFile(outer, outerBodies);
  const inner = parseDescription(decodeUtf8(opened.content));
  const innerBodies = redirectBodies(inner);

  it('opens to the description that it promises', () => {
    expect(opened.name).toBe('');
    expect(() => {
      checkRedirect(outer, inner);
    }).not.toThrow();
    expectDigests(outer, outerBodies);
  });

  it('leads to the file', () => {
    expect(innerBodies).toHaveLength(2);
    expectDigests(inner, innerBodies);
    for (const order of [
      [0, 1],
      [1, 0],
    ])
      expectOpened(openFile(inner, innerBodies, order), recordedRedirect);
  });

  it('and its file are sealed to the same bytes', async () => {
    const folder = await temporaryFolder();
    for (const [name, content, description, bodies] of [
      ['', opened.content, outer, outerBodies],
      [recordedRedirect.name, recordedRedirect.content, inner, innerBodies],
    ] as const) {
      const path = join(folder, 'source');
      writeFileSync(path, content);
      const { key, nonce } = description;
      const sealed = sealFile({ path, name, key, nonce });
      expectSealed(sealed, description);
      expect(bytesEqual(concatBytes(...sealed.bodies), concatBytes(...bodies))).toBe(true);
    }
  });
});

describe('a recorded file that was changed', () => {
  const { name, content, description, chunks } = stored.find((file) => file.name === 'one.bin')!;
  const [body] = chunks;
  const [chunk] = description.chunks;
  if (body === undefined || chunk === undefined) throw new Error('The file has no chunk.');
  const header = 8 + 1 + encodeUtf8(name).length + 1;

  /** The description of a sender who lies about one chunk, as far as digests go. */
  function describing(lie: Uint8Array, whole: Uint8Array = description.digest): FileDescription {
    return { ...description, digest: whole, chunks: [{ ...chunk!, digest: sha256(lie) }] };
  }

  const regions = [
    ['length', 0, 8],
    ['header', 8, header],
    ['content', header, header + content.length],
    ['padding', header + content.length, body.length - 16],
    ['tag', body.length - 16, body.length],
  ] as const;

  it.each(regions)('by one bit in its %s is not what the sender uploaded', (_, start, end) => {
    forFlips(body, [start, end], (flipped) => {
      expect(() => openFile(description, [flipped])).toThrow(failing('CHUNK_DIGEST'));
    });
  });

  it.each(regions)('by one bit in its %s, chunk digest adapted, is corrupted', (_, start, end) => {
    forFlips(body, [start, end], (flipped) => {
      expect(() => openFile(describing(flipped), [flipped])).toThrow(failing('FILE_CORRUPT'));
    });
  });

  it.each(regions)('by one bit in its %s, both digests adapted, is corrupted', (_, start, end) => {
    forFlips(body, [start, end], (flipped) => {
      expect(() => openFile(describing(flipped, sha512(flipped)), [flipped])).toThrow(
        failing('FILE_CORRUPT'),
      );
    });
  });

  it('only in the digest of its description is corrupted', () => {
    const digest = flip(description.digest, 77);
    expect(() => openFile({ ...description, digest }, chunks)).toThrow(failing('FILE_CORRUPT'));
  });

  it('by another key or nonce is corrupted', () => {
    const { key, nonce } = description;
    for (const at of [0, 100, 191])
      for (const other of [
        { key: flip(key, at), nonce },
        { key, nonce: flip(nonce, at) },
      ])
        expect(() => openFile({ ...description, ...other }, chunks)).toThrow(failing('FILE_CORRUPT'));
  });
});

describe('a recorded file of several chunks', () => {
  const { description, chunks } = stored.find((file) => file.name === 'one-point-two-mb.bin')!;

  it('is not what the sender uploaded when the relay mixes up two of them', () => {
    const swapped = [chunks[1]!, chunks[0]!, ...chunks.slice(2)];
    expect(() => openFile(description, swapped)).toThrow(failing('CHUNK_DIGEST'));
  });

  it('is corrupted when a bit of any chunk has changed and its digest with it', () => {
    for (const index of chunks.keys()) {
      const bodies = chunks.map((body, at) => (at === index ? flip(body, body.length * 4) : body));
      const described = description.chunks.map((chunk, at) => ({ ...chunk, digest: sha256(bodies[at]!) }));
      const lying = { ...description, chunks: described };
      expect(() => openFile(lying, bodies)).toThrow(failing('FILE_CORRUPT'));
      const whole = sha512(concatBytes(...bodies));
      expect(() => openFile({ ...lying, digest: whole }, bodies)).toThrow(failing('FILE_CORRUPT'));
    }
  });
});

function expectOpened(
  opened: { name: string; content: Uint8Array },
  { name, content }: { name: string; content: Uint8Array },
): void {
  expect(opened.name).toBe(name);
  expect(opened.content).toHaveLength(content.length);
  expect(bytesEqual(opened.content, content)).toBe(true);
}

function expectDigests({ chunks, digest, size }: FileDescription, bodies: readonly Uint8Array[]): void {
  expect(bodies.map((body) => body.length)).toStrictEqual(chunks.map((chunk) => chunk.size));
  expect(bodies.map(sha256)).toStrictEqual(chunks.map((chunk) => chunk.digest));
  const whole = concatBytes(...bodies);
  expect(whole).toHaveLength(size);
  expect(sha512(whole)).toStrictEqual(digest);
}

function expectSealed(sealed: ReturnType<typeof sealFile>, { chunks, digest }: FileDescription): void {
  const described = chunks.map((chunk) => ({ size: chunk.size, digest: chunk.digest }));
  expect(sealed.chunks).toStrictEqual(described);
  expect(sealed.digest).toStrictEqual(digest);
}

function flip(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  const at = (bit >> 3) % copy.length;
  copy[at] = copy[at]! ^ (1 << (bit & 7));
  return copy;
}

/** Both ends of a region of bytes, and places between. */
function forFlips(
  body: Uint8Array,
  [start, end]: readonly [number, number],
  check: (flipped: Uint8Array) => void,
): void {
  const bit = fc.oneof(
    fc.constantFrom(start * 8, end * 8 - 1),
    fc.integer({ min: start * 8, max: end * 8 - 1 }),
  );
  fc.assert(
    fc.property(bit, (at) => {
      check(flip(body, at));
    }),
    { numRuns: 40 },
  );
}
