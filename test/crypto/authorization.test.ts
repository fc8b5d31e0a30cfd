import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  authorizationScheme,
  AUTHORIZATION_LENGTHS,
  createAuthenticator,
  generateKeyPair,
  sealTagFirst,
  sha512,
  sharedSecret,
  sign,
  verifyAuthenticator,
  verifyAuthorization,
  verifyDummyAuthorization,
} from '#src/crypto/index.js';
import { encodePublicKey, encodeUtf8, type KeyAlgorithm } from '#src/protocol/index.js';
import { bytes, damaged, hex, range, unhex } from './byte-arbitraries.js';

const SECRET = unhex('a84dc7c3c8f058b1b2dc4cd1e9b5dc0a7987f88b6a9564cde3391fc421159e77');
const ALGORITHMS: readonly KeyAlgorithm[] = ['ed25519', 'ed448', 'x25519'];
const session = generateKeyPair('x25519');
const correlationId = range(50, 73);
const authorized = range(1, 90);
const pairs = {
  ed25519: generateKeyPair('ed25519'),
  ed448: generateKeyPair('ed448'),
  x25519: generateKeyPair('x25519'),
};

function authorize(algorithm: KeyAlgorithm): Uint8Array {
  const { privateKey } = pairs[algorithm];
  if (algorithm !== 'x25519') return sign(privateKey, authorized);
  return createAuthenticator(sharedSecret(privateKey, session.publicKey), correlationId, authorized);
}

function command(authorization: Uint8Array) {
  return { authorization, authorized, correlationId, sessionKey: session.privateKey };
}

describe('the deniable authenticator', () => {
  it('is that of section 14.2', () => {
    const authenticator = createAuthenticator(
      SECRET,
      range(0, 23),
      encodeUtf8('hello world authenticator test'),
    );
    expect(hex(authenticator)).toBe(
      'c15c26dfac0e465f855a9aa38179e34fd6095e7cdbeb3e29df8717b3bce03444' +
        'fa93651c1c77b88135f95046e03128fb319695476e71a6db95affe783f5522b6' +
        '0e21d49b077a6f1a56ccbad398f45a4f',
    );
  });

  it('takes the correlation ID, filled with zeroes or cut to 24 bytes, as its nonce', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (id) => {
        const nonce = new Uint8Array(24);
        nonce.set(id.subarray(0, 24));
        const expected = sealTagFirst(SECRET, nonce, sha512(authorized));
        expect(hex(createAuthenticator(SECRET, id, authorized))).toBe(hex(expected));
      }),
    );
  });

  it('is false when it, the command or the secret are others', () => {
    const right = createAuthenticator(SECRET, correlationId, authorized);
    expect(verifyAuthenticator(SECRET, correlationId, authorized, right)).toBe(true);
    fc.assert(
      fc.property(damaged(right), damaged(authorized), bytes(32), (wrong, other, secret) => {
        fc.pre(hex(wrong) !== hex(right) && hex(other) !== hex(authorized) && hex(secret) !== hex(SECRET));
        expect(verifyAuthenticator(SECRET, correlationId, authorized, wrong)).toBe(false);
        expect(verifyAuthenticator(SECRET, correlationId, other, right)).toBe(false);
        expect(verifyAuthenticator(secret, correlationId, authorized, right)).toBe(false);
      }),
    );
  });
});

describe('the authorization of a command', () => {
  it('tells its scheme by its length: 64, 114 or 80', () => {
    expect(AUTHORIZATION_LENGTHS).toStrictEqual({ ed25519: 64, ed448: 114, x25519: 80 });
    for (let length = 0; length < 256; length++)
      expect(authorizationScheme(new Uint8Array(length))).toBe(
        { 64: 'ed25519', 114: 'ed448', 80: 'x25519' }[length] ?? undefined,
      );
  });

  it.each(ALGORITHMS)('of a key of type %s passes, and nothing else does', (algorithm) => {
    const key = pairs[algorithm].publicKey;
    const right = authorize(algorithm);
    expect(verifyAuthorization({ ...command(right), key })).toBe(true);
    const other = { ...command(right), authorized: range(2, 91) };
    expect(verifyAuthorization({ ...other, key })).toBe(false);
    expect(verifyAuthorization({ ...command(right), key: generateKeyPair(algorithm).publicKey })).toBe(false);
    expect(verifyAuthorization({ ...command(new Uint8Array()), key })).toBe(false);
    fc.assert(
      fc.property(damaged(right), (wrong) => {
        fc.pre(hex(wrong) !== hex(right));
        expect(verifyAuthorization({ ...command(wrong), key })).toBe(false);
      }),
      { numRuns: 30 },
    );
  });

  it('does not pass when its scheme and the type of the key differ', () => {
    for (const algorithm of ALGORITHMS)
      for (const other of ALGORITHMS.filter((one) => one !== algorithm))
        expect(verifyAuthorization({ ...command(authorize(algorithm)), key: pairs[other].publicKey })).toBe(
          false,
        );
  });

  it('by an authenticator does not pass without a session key, or in another session', () => {
    const { authorization } = command(authorize('x25519'));
    const withoutSession = { authorization, authorized, correlationId };
    const key = pairs.x25519.publicKey;
    expect(verifyAuthorization({ ...withoutSession, key })).toBe(false);
    const otherSession = generateKeyPair('x25519').privateKey;
    expect(verifyAuthorization({ ...withoutSession, sessionKey: otherSession, key })).toBe(false);
  });

  it('does not pass for an X25519 key that gives the secret zero', () => {
    const key = encodePublicKey({ algorithm: 'x25519', raw: new Uint8Array(32) });
    const forged = createAuthenticator(new Uint8Array(32), correlationId, authorized);
    expect(verifyAuthorization({ ...command(forged), key })).toBe(false);
  });

  it('is always false for unknown IDs, whatever it holds', () => {
    for (const algorithm of ALGORITHMS)
      expect(verifyDummyAuthorization(command(authorize(algorithm)))).toBe(false);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 255 }), (authorization) => {
        expect(verifyDummyAuthorization(command(authorization))).toBe(false);
      }),
    );
  });

  it.each(ALGORITHMS)('of type %s takes about as long for unknown IDs as for known ones', (algorithm) => {
    const known = { ...command(authorize(algorithm)), key: pairs[algorithm].publicKey };
    const time = (use: () => unknown): number => {
      const start = process.hrtime.bigint();
      use();
      return Number(process.hrtime.bigint() - start);
    };
    const real: number[] = [];
    const dummy: number[] = [];
    for (let round = 0; round < 300; round++) {
      real.push(time(() => verifyAuthorization(known)));
      dummy.push(time(() => verifyDummyAuthorization(known)));
    }
    const median = (times: number[]): number => times.sort((a, b) => a - b)[times.length / 2] ?? 0;
    // Without the dummy verification this would be 30 or more.
    expect(median(real) / median(dummy)).toBeGreaterThan(0.4);
    expect(median(real) / median(dummy)).toBeLessThan(2.5);
  });
});
