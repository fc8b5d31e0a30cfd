import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { ed448 } from '@noble/curves/ed448.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  generateKeyPair,
  publicKeyOf,
  sharedSecret,
  sign,
  SIGNATURE_LENGTH,
  verify,
} from '#src/crypto/index.js';
import {
  decodePrivateKey,
  decodePublicKey,
  encodeBase64Url,
  encodePrivateKey,
  encodePublicKey,
  isXftpError,
} from '#src/protocol/index.js';
import { bytes, damaged, hex, range, unhex } from './byte-arbitraries.js';
import { failing } from './expected-failure.js';

const message = fc.uint8Array({ maxLength: 200 });
const ALGORITHMS = ['ed25519', 'ed448', 'x25519'] as const;
const invalidKey = failing('INVALID_KEY');

describe('vectors of section 14.1', () => {
  it('Ed25519 seed 1…32', () => {
    const privateKey = encodePrivateKey({ algorithm: 'ed25519', raw: range(1, 32) });
    expect(encodeBase64Url(privateKey)).toBe(
      'MC4CAQAwBQYDK2VwBCIEIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g',
    );
    expect(encodeBase64Url(publicKeyOf(privateKey))).toBe(
      'MCowBQYDK2VwAyEAebVWLo_mVPlAeLES6KmLp5AfhTrmlb7X4OORC60ElmQ=',
    );
  });

  it('the signature of FPUT in section 14.4', () => {
    const privateKey = encodePrivateKey({ algorithm: 'ed25519', raw: range(1, 32) });
    const authorized = unhex(
      '2065666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f8081828384' +
        '0378797a180102030405060708090a0b0c0d0e0f101112131415161718' +
        '46505554',
    );
    expect(hex(sign(privateKey, authorized))).toBe(
      'c9f39771c967f0724064ace3cb42e3203491bab734a4b51a7f50d9abf95fe91f' +
        'e66bde6778a682eb49e483ed55849bedb70f2ffdc037d88e63e6dc2c880dee05',
    );
  });

  it('X25519 keys 1…32 and 33…64', () => {
    const a = encodePrivateKey({ algorithm: 'x25519', raw: range(1, 32) });
    const b = encodePrivateKey({ algorithm: 'x25519', raw: range(33, 64) });
    expect(hex(decodePublicKey(publicKeyOf(a)).raw)).toBe(
      '07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c',
    );
    expect(hex(decodePublicKey(publicKeyOf(b)).raw)).toBe(
      '5869aff450549732cbaaed5e5df9b30a6da31cb0e5742bad5ad4a1a768f1a67b',
    );
    const secret = 'a84dc7c3c8f058b1b2dc4cd1e9b5dc0a7987f88b6a9564cde3391fc421159e77';
    expect(hex(sharedSecret(a, publicKeyOf(b)))).toBe(secret);
    expect(hex(sharedSecret(b, publicKeyOf(a)))).toBe(secret);
  });
});

describe.each(ALGORITHMS)('%s key pairs', (algorithm) => {
  it('are in wire form, belong together and do not repeat', () => {
    const pairs = Array.from({ length: 20 }, () => generateKeyPair(algorithm));
    for (const { publicKey, privateKey } of pairs) {
      expect(decodePublicKey(publicKey).algorithm).toBe(algorithm);
      expect(decodePrivateKey(privateKey).algorithm).toBe(algorithm);
      expect(hex(publicKeyOf(privateKey))).toBe(hex(publicKey));
    }
    expect(new Set(pairs.map(({ privateKey }) => hex(privateKey))).size).toBe(20);
  });

  it('have the public key that an independent implementation computes', () => {
    const independent = { ed25519, ed448, x25519 }[algorithm];
    fc.assert(
      fc.property(bytes(algorithm === 'ed448' ? 57 : 32), (raw) => {
        const publicKey = publicKeyOf(encodePrivateKey({ algorithm, raw }));
        expect(hex(decodePublicKey(publicKey).raw)).toBe(hex(independent.getPublicKey(raw)));
      }),
      { numRuns: 20 },
    );
  });
});

describe.each([
  { algorithm: 'ed25519', independent: ed25519 },
  { algorithm: 'ed448', independent: ed448 },
] as const)('$algorithm signatures', ({ algorithm, independent }) => {
  const { publicKey, privateKey } = generateKeyPair(algorithm);
  const rawPublic = decodePublicKey(publicKey).raw;
  const rawPrivate = decodePrivateKey(privateKey).raw;

  it('are the same bytes as those of an independent implementation, and each verifies the other', () => {
    fc.assert(
      fc.property(message, (text) => {
        const signature = sign(privateKey, text);
        expect(signature).toHaveLength(SIGNATURE_LENGTH[algorithm]);
        expect(hex(signature)).toBe(hex(independent.sign(text, rawPrivate)));
        expect(verify(publicKey, text, signature)).toBe(true);
        expect(independent.verify(signature, text, rawPublic)).toBe(true);
      }),
      { numRuns: 15 },
    );
  });

  it('are false when signature, message or key are others', () => {
    const text = range(1, 50);
    const signature = sign(privateKey, text);
    fc.assert(
      fc.property(damaged(signature), damaged(text), (otherSignature, otherText) => {
        expect(verify(publicKey, text, otherSignature)).toBe(hex(otherSignature) === hex(signature));
        expect(verify(publicKey, otherText, signature)).toBe(hex(otherText) === hex(text));
      }),
    );
    expect(verify(generateKeyPair(algorithm).publicKey, text, signature)).toBe(false);
    expect(verify(publicKey, text, new Uint8Array())).toBe(false);
  });

  it('are false for any bytes as key, also for those that are no point of the curve', () => {
    const signature = sign(privateKey, range(1, 5));
    fc.assert(
      fc.property(bytes(rawPublic.length), (raw) => {
        expect(verify(encodePublicKey({ algorithm, raw }), range(1, 5), signature)).toBe(false);
      }),
    );
    const ones = encodePublicKey({ algorithm, raw: new Uint8Array(rawPublic.length).fill(255) });
    expect(verify(ones, range(1, 5), signature)).toBe(false);
  });
});

describe('X25519 secrets', () => {
  it('agree with an independent implementation', () => {
    fc.assert(
      fc.property(bytes(32), bytes(32), (a, b) => {
        const ours = encodePrivateKey({ algorithm: 'x25519', raw: a });
        const theirs = encodePublicKey({ algorithm: 'x25519', raw: x25519.getPublicKey(b) });
        expect(hex(sharedSecret(ours, theirs))).toBe(hex(x25519.getSharedSecret(b, x25519.getPublicKey(a))));
      }),
      { numRuns: 30 },
    );
  });

  it.each([
    { name: '0', raw: new Uint8Array(32) },
    { name: '1', raw: unhex(`01${'00'.repeat(31)}`) },
    { name: 'of order 8', raw: unhex('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800') },
    { name: 'p', raw: unhex(`edff${'ff'.repeat(29)}7f`) },
  ])('are refused with the point $name, which gives zero whatever the private key', ({ raw }) => {
    const { privateKey } = generateKeyPair('x25519');
    expect(() => sharedSecret(privateKey, encodePublicKey({ algorithm: 'x25519', raw }))).toThrow(invalidKey);
  });
});

describe('keys of a wrong type or form', () => {
  it('are refused with INVALID_KEY', () => {
    const x = generateKeyPair('x25519');
    const ed = generateKeyPair('ed25519');
    expect(() => sign(x.privateKey, range(1, 3))).toThrow(invalidKey);
    expect(() => verify(x.publicKey, range(1, 3), new Uint8Array(64))).toThrow(invalidKey);
    expect(() => sharedSecret(ed.privateKey, x.publicKey)).toThrow(invalidKey);
    expect(() => sharedSecret(x.privateKey, ed.publicKey)).toThrow(invalidKey);
    expect(() => publicKeyOf(ed.publicKey)).toThrow(invalidKey);
  });

  it.each(ALGORITHMS)('and damaged %s keys never give another error than XftpError', (algorithm) => {
    const pair = generateKeyPair(algorithm);
    const signature = new Uint8Array(algorithm === 'ed448' ? 114 : 64);
    fc.assert(
      fc.property(damaged(pair.publicKey), damaged(pair.privateKey), (publicKey, privateKey) => {
        const uses = [
          () => publicKeyOf(privateKey),
          () => sign(privateKey, signature),
          () => verify(publicKey, signature, signature),
          () => sharedSecret(privateKey, publicKey),
        ];
        for (const use of uses)
          expect(failureOf(use)).toSatisfy((error) => error === undefined || isXftpError(error));
      }),
      { numRuns: 50 },
    );
  });
});

function failureOf(use: () => unknown): unknown {
  try {
    use();
    return undefined;
  } catch (error) {
    return error;
  }
}
