import { sha256 as nobleSha256, sha512 as nobleSha512 } from '@noble/hashes/sha2.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createDigest, DIGEST_LENGTH, sha256, sha512 } from '#src/crypto/index.js';
import { hex } from './byte-arbitraries.js';

describe.each([
  { algorithm: 'sha256', ours: sha256, independent: nobleSha256 },
  { algorithm: 'sha512', ours: sha512, independent: nobleSha512 },
] as const)('$algorithm', ({ algorithm, ours, independent }) => {
  it('agrees with an independent implementation', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (message) => {
        expect(hex(ours(message))).toBe(hex(independent(message)));
        expect(ours(message)).toHaveLength(DIGEST_LENGTH[algorithm]);
      }),
    );
  });

  it('is the same in pieces as at once', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (pieces) => {
        const digest = createDigest(algorithm);
        for (const piece of pieces) digest.update(piece);
        expect(hex(digest.digest())).toBe(hex(ours(new Uint8Array(Buffer.concat(pieces)))));
      }),
    );
  });

  it('gives a plain Uint8Array with memory of its own', () => {
    const digest = ours(new Uint8Array());
    expect(Object.getPrototypeOf(digest)).toBe(Uint8Array.prototype);
    expect(digest.buffer.byteLength).toBe(digest.length);
  });
});
