import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { concatBytes, encodeUtf8 } from '#src/protocol/bytes.js';
import { encodePublicKey } from '#src/protocol/key-encoding.js';
import { decodeResponse, encodeResponse, type Response } from '#src/protocol/responses.js';
import { parseWireError } from '#src/protocol/wire-error.js';
import { bytes, hex, range } from '../crypto/byte-arbitraries.js';
import { failing } from '../crypto/expected-failure.js';

const id = fc.uint8Array({ minLength: 1, maxLength: 255 });
const ids = fc.array(id, { minLength: 1, maxLength: 6 });
const response: fc.Arbitrary<Response> = fc.oneof(
  fc.record({ type: fc.constant('SIDS' as const), senderId: id, recipientIds: ids }),
  fc.record({ type: fc.constant('RIDS' as const), recipientIds: ids }),
  fc.record({
    type: fc.constant('FILE' as const),
    key: bytes(32).map((raw) => encodePublicKey({ algorithm: 'x25519', raw })),
    nonce: bytes(24),
  }),
  fc.constantFrom({ type: 'OK' as const }, { type: 'PONG' as const }),
  fc
    .constantFrom('AUTH', 'CMD SYNTAX', 'BLOCKED reason=spam', 'SOMETHING NEW')
    .map((text) => ({ type: 'ERR' as const, error: parseWireError(text) })),
);

describe('a response', () => {
  it('has the layout of section 5.1', () => {
    const sids: Response = { type: 'SIDS', senderId: range(1, 2), recipientIds: [range(3, 4), range(5, 5)] };
    expect(hex(encodeResponse(sids))).toBe(`${hex(encodeUtf8('SIDS '))}020102` + '020203040105');
    expect(hex(encodeResponse({ type: 'RIDS', recipientIds: [range(7, 7)] }))).toBe(
      `${hex(encodeUtf8('RIDS '))}010107`,
    );
    const key = encodePublicKey({ algorithm: 'x25519', raw: range(1, 32) });
    expect(hex(encodeResponse({ type: 'FILE', key, nonce: range(1, 24) }))).toBe(
      `${hex(encodeUtf8('FILE '))}2c${hex(key)}${hex(range(1, 24))}`,
    );
    expect(encodeResponse({ type: 'OK' })).toStrictEqual(encodeUtf8('OK'));
    expect(encodeResponse({ type: 'ERR', error: { type: 'AUTH' } })).toStrictEqual(encodeUtf8('ERR AUTH'));
  });

  it('is read as it was written', () => {
    fc.assert(
      fc.property(response, (sent) => {
        expect(decodeResponse(encodeResponse(sent))).toEqual(sent);
      }),
    );
  });

  it('is refused when it goes on, errors apart', () => {
    fc.assert(
      fc.property(response, fc.uint8Array({ minLength: 1, maxLength: 3 }), (sent, more) => {
        fc.pre(sent.type !== 'ERR');
        expect(() => decodeResponse(concatBytes(encodeResponse(sent), more))).toThrow(
          failing('INVALID_ENCODING'),
        );
      }),
    );
  });

  it.each([
    '',
    'OK ',
    'PONG x',
    'ok',
    'SIDS',
    'SIDS ',
    'RIDS \0',
    'SIDS \x01a\0',
    'FILE ',
    'HELLO',
    'OKAY',
    ' OK',
  ])('%j is refused', (text) => {
    expect(() => decodeResponse(encodeUtf8(text))).toThrow(failing('INVALID_ENCODING'));
  });

  it('may be an error that nobody knows', () => {
    for (const text of ['ERR', 'ERR ', 'ERR X Y Z'])
      expect(decodeResponse(encodeUtf8(text))).toStrictEqual({
        type: 'ERR',
        error: { type: 'OTHER', text: text.slice(4) },
      });
  });

  it('with a download key of another type is refused', () => {
    const key = encodePublicKey({ algorithm: 'ed25519', raw: range(1, 32) });
    expect(() => decodeResponse(encodeResponse({ type: 'FILE', key, nonce: range(1, 24) }))).toThrow(
      failing('INVALID_KEY'),
    );
  });

  it('with a nonce of another length is refused', () => {
    const key = encodePublicKey({ algorithm: 'x25519', raw: range(1, 32) });
    for (const nonce of [range(1, 23), range(1, 25)])
      expect(() => decodeResponse(encodeResponse({ type: 'FILE', key, nonce }))).toThrow(
        failing('INVALID_ENCODING'),
      );
  });
});
