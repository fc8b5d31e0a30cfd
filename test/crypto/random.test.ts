import fc from 'fast-check';
import { expect, it } from 'vitest';
import { constantTimeEqual, randomBytes } from '#src/crypto/index.js';
import { hex } from './byte-arbitraries.js';

it('random bytes have the wanted length and do not repeat', () => {
  expect(randomBytes(0)).toHaveLength(0);
  const seen = new Set(Array.from({ length: 1000 }, () => hex(randomBytes(24))));
  expect(seen.size).toBe(1000);
  expect([...seen].every((text) => text.length === 48)).toBe(true);
});

it('constant-time comparison agrees with comparison of every byte, for all lengths', () => {
  const array = fc.uint8Array({ maxLength: 3, max: 2 });
  fc.assert(
    fc.property(array, array, (a, b) => {
      expect(constantTimeEqual(a, b)).toBe(hex(a) === hex(b));
      expect(constantTimeEqual(a, new Uint8Array(a))).toBe(true);
    }),
  );
});
