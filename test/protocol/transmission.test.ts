import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { publicKeyOf, sha256, sign, verify } from '#src/crypto/index.js';
import {
  concatBytes,
  decodeBareError,
  decodeTransmission,
  encodeAuthorized,
  encodeBareError,
  encodePrivateKey,
  encodeTransmission,
  encodeUtf8,
  pad,
  parseWireError,
  unpad,
} from '#src/protocol/index.js';
import { hex, range, unhex } from '../crypto/byte-arbitraries.js';
import { failing } from '../crypto/expected-failure.js';

const invalid = failing('INVALID_BLOCK');
const NONE = new Uint8Array();

describe('the values of section 14.4', () => {
  const ping = {
    sessionId: range(201, 232),
    correlationId: NONE,
    entityId: NONE,
    command: encodeUtf8('PING'),
  };

  it('PING without correlation ID', () => {
    const block = encodeTransmission(ping);
    expect(hex(block.subarray(0, 47))).toBe(`002b0100280020${hex(range(201, 232))}000050494e472323`);
    expect(hex(sha256(block))).toBe('a969db6b635305d1875f4941d155635d30c8c80463c9211ec4177e1320f96a7e');
  });

  it('PING with correlation ID', () => {
    const block = encodeTransmission({ ...ping, correlationId: encodeUtf8('abc') });
    expect(hex(block.subarray(0, 7))).toBe('002e01002b0020');
    expect(hex(sha256(block))).toBe('4e33ba3f809adcd3ab83770c996f827e551d4cd4eaae96a5afa5c6fe737dd614');
  });

  it('FPUT, signed', () => {
    const privateKey = encodePrivateKey({ algorithm: 'ed25519', raw: range(1, 32) });
    const transmission = {
      sessionId: range(101, 132),
      correlationId: encodeUtf8('xyz'),
      entityId: range(1, 24),
      command: encodeUtf8('FPUT'),
    };
    const authorized =
      '2065666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f8081828384' +
      '0378797a180102030405060708090a0b0c0d0e0f10111213141516171846505554';
    expect(hex(encodeAuthorized(transmission))).toBe(authorized);
    const block = encodeTransmission(transmission, (message) => sign(privateKey, message));
    expect(hex(block.subarray(0, 8))).toBe('008601008340c9f3');
    expect(hex(sha256(block))).toBe('b29ba12f337ec00741b79084a73d445e67b7a6e3f32a6b686378d8dc681ecd42');
    const received = decodeTransmission(block);
    expect(hex(received.authorized)).toBe(authorized);
    expect(hex(received.authorization)).toBe(
      'c9f39771c967f0724064ace3cb42e3203491bab734a4b51a7f50d9abf95fe91f' +
        'e66bde6778a682eb49e483ed55849bedb70f2ffdc037d88e63e6dc2c880dee05',
    );
    expect(verify(publicKeyOf(privateKey), received.authorized, received.authorization)).toBe(true);
  });
});

const short = fc.uint8Array({ maxLength: 255 });
const transmission = fc.record({
  sessionId: short,
  correlationId: short,
  entityId: short,
  command: fc.uint8Array({ maxLength: 2000 }),
});

describe('a transmission', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(transmission, short, (sent, authorization) => {
        const block = encodeTransmission(sent, () => authorization);
        expect(decodeTransmission(block)).toStrictEqual({
          ...sent,
          authorization,
          authorized: encodeAuthorized(sent),
        });
        expect(decodeBareError(block)).toBeUndefined();
      }),
    );
  });

  it('is not written when it does not fit', () => {
    const large = { sessionId: NONE, correlationId: NONE, entityId: NONE, command: new Uint8Array(16379) };
    expect(() => encodeTransmission(large)).toThrow(invalid);
    expect(() => encodeTransmission({ ...large, command: NONE, entityId: new Uint8Array(256) })).toThrow(
      failing('INVALID_ENCODING'),
    );
  });

  it('may fill its block', () => {
    const command = new Uint8Array(16382 - 3 - 4);
    const full = { sessionId: NONE, correlationId: NONE, entityId: NONE, command };
    expect(decodeTransmission(encodeTransmission(full)).command).toHaveLength(command.length);
  });

  it.each([
    ['two in a batch', '02000400000000' + '000400000000'],
    ['none in a batch', '00'],
    ['bytes behind it', '0100040000000000'],
    ['a length beyond the block', '01ffff00000000'],
    ['a length that is too short for its fields', '01000300000000'],
    ['a session ID that is cut off', '0100060005010203'],
    ['nothing', ''],
  ])('with %s is refused', (_, content) => {
    expect(() => decodeTransmission(pad(unhex(content)))).toThrow(invalid);
  });

  it('in a block of another size is refused', () => {
    const block = encodeTransmission({ sessionId: NONE, correlationId: NONE, entityId: NONE, command: NONE });
    expect(decodeTransmission(block).command).toHaveLength(0);
    expect(() => decodeTransmission(block.subarray(0, 16383))).toThrow(invalid);
    expect(() => decodeTransmission(concatBytes(block, NONE, Uint8Array.of(1)))).toThrow(invalid);
  });

  it('reads what the reference would: fill of any kind', () => {
    const block = encodeTransmission({ sessionId: NONE, correlationId: NONE, entityId: NONE, command: NONE });
    block.fill(0, 2 + unpad(block).length);
    expect(decodeTransmission(block).command).toHaveLength(0);
  });
});

describe('a bare error', () => {
  it.each(['HANDSHAKE', 'SESSION', 'BLOCK', 'CMD SYNTAX', 'BLOCKED reason=spam'])(
    '%s is read again',
    (text) => {
      const error = parseWireError(text);
      const block = encodeBareError(error);
      expect(unpad(block)).toStrictEqual(encodeUtf8(text));
      expect(decodeBareError(block)).toStrictEqual(error);
    },
  );

  it('is told from everything else: it is text, and begins with a capital letter', () => {
    for (const content of ['', '\x01A', '@A', '[A', 'a', '0', 'AUTH\n', 'A\0'])
      expect(decodeBareError(pad(encodeUtf8(content)))).toBeUndefined();
    expect(decodeBareError(pad(encodeUtf8('ZEBRA')))).toStrictEqual({ type: 'OTHER', text: 'ZEBRA' });
    expect(decodeBareError(pad(Uint8Array.of(0x41, 0xff)))).toBeUndefined();
  });
});
