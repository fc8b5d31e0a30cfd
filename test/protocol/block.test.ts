import fc from 'fast-check';
import { expect, it } from 'vitest';

import { BLOCK_SIZE, pad, unpad } from '#src/protocol/block.js';
import { encodeUtf8 } from '#src/protocol/bytes.js';
import { hex } from '../crypto/byte-arbitraries.js';
import { failing } from '../crypto/expected-failure.js';

const invalid = failing('INVALID_BLOCK');

it('has the values of section 14.1', () => {
  expect(hex(pad(encodeUtf8('abc'), 5))).toBe('0003616263');
  expect(() => pad(encodeUtf8('abc'), 4)).toThrow(invalid);
});

it('fills up with #, to 16384 bytes', () => {
  const block = pad(encodeUtf8('abc'));
  expect(block).toHaveLength(BLOCK_SIZE);
  expect(new Set(block.subarray(5))).toStrictEqual(new Set([0x23]));
});

it('takes a message of 16382 bytes and none that is longer', () => {
  expect(unpad(pad(new Uint8Array(16382)))).toHaveLength(16382);
  expect(() => pad(new Uint8Array(16383))).toThrow(invalid);
  expect(() => pad(new Uint8Array(65534), 70_000)).toThrow(invalid);
  expect(pad(new Uint8Array(65533), 70_000)).toHaveLength(70_000);
});

it('gives back what was padded, whatever the fill is', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(50), fc.nat(255), (message, room, fill) => {
      const block = pad(message, message.length + 2 + room);
      block.fill(fill, 2 + message.length);
      expect(unpad(block)).toStrictEqual(message);
    }),
  );
});

it.each([[[]], [[0]], [[0, 1]], [[0, 5, 1, 2, 3, 4]], [[255, 255, 1]]])('refuses %j', (bytes) => {
  expect(() => unpad(Uint8Array.from(bytes))).toThrow(invalid);
});
