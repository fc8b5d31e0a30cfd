import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { encodeBase64Url } from '#src/protocol/base64url.js';
import {
  decodePrivateKey,
  decodePublicKey,
  encodePrivateKey,
  encodePublicKey,
  type KeyAlgorithm,
  RAW_KEY_LENGTH,
} from '#src/protocol/key-encoding.js';
import { bytes, damaged, hex, range, unhex } from '../crypto/byte-arbitraries.js';
import { failing } from '../crypto/expected-failure.js';

const invalid = failing('INVALID_KEY');
const ALGORITHMS = ['ed25519', 'ed448', 'x25519'] as const;

it('has the values of section 14.1', () => {
  const raw = unhex('79b5562e8fe654f94078b112e8a98ba7901f853ae695bed7e0e3910bad049664');
  expect(encodeBase64Url(encodePublicKey({ algorithm: 'ed25519', raw }))).toBe(
    'MCowBQYDK2VwAyEAebVWLo_mVPlAeLES6KmLp5AfhTrmlb7X4OORC60ElmQ=',
  );
  expect(encodeBase64Url(encodePrivateKey({ algorithm: 'ed25519', raw: range(1, 32) }))).toBe(
    'MC4CAQAwBQYDK2VwBCIEIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g',
  );
});

it.each<[KeyAlgorithm, number, number, string, string]>([
  ['ed25519', 44, 48, '302a300506032b6570032100', '302e020100300506032b657004220420'],
  ['x25519', 44, 48, '302a300506032b656e032100', '302e020100300506032b656e04220420'],
  ['ed448', 69, 73, '3043300506032b6571033a00', '3047020100300506032b6571043b0439'],
])('has the DER of section 0.2 for %s', (algorithm, spki, pkcs8, spkiHead, pkcs8Head) => {
  const key = { algorithm, raw: new Uint8Array(RAW_KEY_LENGTH[algorithm]) };
  expect(encodePublicKey(key)).toHaveLength(spki);
  expect(encodePrivateKey(key)).toHaveLength(pkcs8);
  expect(hex(encodePublicKey(key))).toMatch(new RegExp(`^${spkiHead}`));
  expect(hex(encodePrivateKey(key))).toMatch(new RegExp(`^${pkcs8Head}`));
});

describe.each(ALGORITHMS)('a key of type %s', (algorithm) => {
  const length = RAW_KEY_LENGTH[algorithm];

  it('is read as it was written', () => {
    fc.assert(
      fc.property(bytes(length), (raw) => {
        expect(decodePublicKey(encodePublicKey({ algorithm, raw }))).toStrictEqual({ algorithm, raw });
        expect(decodePrivateKey(encodePrivateKey({ algorithm, raw }))).toStrictEqual({ algorithm, raw });
      }),
    );
  });

  it('is not written with another length', () => {
    for (const wrong of [0, length - 1, length + 1]) {
      expect(() => encodePublicKey({ algorithm, raw: new Uint8Array(wrong) })).toThrow(invalid);
      expect(() => encodePrivateKey({ algorithm, raw: new Uint8Array(wrong) })).toThrow(invalid);
    }
  });

  it('is refused, or is another good key, when any byte has changed', () => {
    for (const [encode, decode] of [
      [encodePublicKey, decodePublicKey],
      [encodePrivateKey, decodePrivateKey],
    ] as const) {
      const der = encode({ algorithm, raw: new Uint8Array(length).fill(7) });
      fc.assert(
        fc.property(damaged(der), (changed) => {
          try {
            expect(encode(decode(changed))).toStrictEqual(changed);
          } catch (error) {
            expect(error).toStrictEqual(invalid);
          }
        }),
      );
    }
  });

  it('is not taken for a key of the other kind', () => {
    const key = { algorithm, raw: new Uint8Array(length) };
    expect(() => decodePublicKey(encodePrivateKey(key))).toThrow(invalid);
    expect(() => decodePrivateKey(encodePublicKey(key))).toThrow(invalid);
  });
});

it('refuses X448, and a PKCS8 key that carries its public key', () => {
  const x448 = unhex(`3042300506032b656f033900${'00'.repeat(56)}`);
  expect(() => decodePublicKey(x448)).toThrow(invalid);
  const version1 = unhex(`3051020101300506032b657004220420${'00'.repeat(32)}812100${'00'.repeat(32)}`);
  expect(() => decodePrivateKey(version1)).toThrow(invalid);
});
