import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  generateKeyPair,
  publicKeyOf,
  readCertificate,
  sign,
  signSessionKey,
  verifySessionKey,
} from '#src/crypto/index.js';
import { concatBytes, decodePublicKey, decodeServerHello, encodePrivateKey } from '#src/protocol/index.js';
import { damaged, hex, range, unhex } from './byte-arbitraries.js';
import { failing } from './expected-failure.js';
import { RECORDED_RELAYS } from './recorded-relays.js';

const mismatch = failing('IDENTITY_MISMATCH');
const session = generateKeyPair('x25519');

it('a signed session key is that of section 14.3', () => {
  const signing = encodePrivateKey({ algorithm: 'ed25519', raw: range(1, 32) });
  const key = publicKeyOf(encodePrivateKey({ algorithm: 'x25519', raw: range(1, 32) }));
  const signed = unhex(
    '3078302c302a300506032b656e03210007a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c' +
      '300506032b6570034100a727a180aaa8c1fee150ab237acc810fa2c3243f20dba25cb854e4385a0fb7725c9f259e82c7' +
      '39fc71caebfcb72b4f5df3d0c21cc00d0191cb888e9a29f4470e',
  );
  expect(hex(signSessionKey(signing, key))).toBe(hex(signed));
  expect(hex(verifySessionKey(publicKeyOf(signing), signed))).toBe(hex(key));
});

describe.each(RECORDED_RELAYS)('the recorded hello of the $algorithm relay', ({ hello, shown }) => {
  it('holds the certificates of TLS and a session key signed with the key of the first', () => {
    const { certificates, signedKey } = decodeServerHello(hello);
    expect(certificates.map(hex)).toStrictEqual([hex(shown.online), hex(shown.identity)]);
    const key = verifySessionKey(readCertificate(shown.online).publicKey, signedKey);
    expect(decodePublicKey(key).algorithm).toBe('x25519');
  });

  it('holds a session key that is not signed with the identity key', () => {
    const { signedKey } = decodeServerHello(hello);
    expect(() => verifySessionKey(readCertificate(shown.identity).publicKey, signedKey)).toThrow(mismatch);
  });
});

describe.each([
  { algorithm: 'ed25519', length: 122 },
  { algorithm: 'ed448', length: 173 },
] as const)('a session key signed with $algorithm', ({ algorithm, length }) => {
  const signing = generateKeyPair(algorithm);
  const signed = signSessionKey(signing.privateKey, session.publicKey);

  it(`has ${String(length)} bytes and opens again`, () => {
    expect(signed).toHaveLength(length);
    expect(hex(verifySessionKey(signing.publicKey, signed))).toBe(hex(session.publicKey));
  });

  it('does not open with another key, or a key of another type', () => {
    for (const other of ['ed25519', 'ed448', 'x25519'] as const)
      expect(() => verifySessionKey(generateKeyPair(other).publicKey, signed)).toThrow(mismatch);
  });

  it('does not open when any byte has changed', () => {
    fc.assert(
      fc.property(damaged(signed), (other) => {
        fc.pre(hex(other) !== hex(signed));
        expect(() => verifySessionKey(signing.publicKey, other)).toThrow(mismatch);
      }),
    );
  });

  it('does not open with any other bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (other) => {
        expect(() => verifySessionKey(signing.publicKey, other)).toThrow(mismatch);
      }),
    );
  });

  it('does not open when the signature leaves out the wrapper', () => {
    const bare = sign(signing.privateKey, session.publicKey);
    const forged = concatBytes(signed.subarray(0, length - bare.length), bare);
    expect(() => verifySessionKey(signing.publicKey, forged)).toThrow(mismatch);
  });
});

it('only X25519 keys are signed, only by keys that sign', () => {
  const signing = generateKeyPair('ed25519');
  const invalidKey = failing('INVALID_KEY');
  expect(() => signSessionKey(signing.privateKey, signing.publicKey)).toThrow(invalidKey);
  expect(() => signSessionKey(session.privateKey, session.publicKey)).toThrow(invalidKey);
});
