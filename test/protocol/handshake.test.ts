import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { readCertificate, verify, verifySessionKey } from '#src/crypto/index.js';
import {
  concatBytes,
  decodeBareError,
  decodeClientHandshake,
  decodeResponse,
  decodeServerHello,
  decodeTransmission,
  decodeWebHello,
  encodeBareError,
  encodeBase64Url,
  encodeClientHandshake,
  encodeServerHello,
  encodeTransmission,
  encodeWebHello,
  pad,
  unpad,
} from '#src/protocol/index.js';
import { bytes, damaged, hex, range, unhex } from '../crypto/byte-arbitraries.js';
import { failing } from '../crypto/expected-failure.js';
import { readVector } from '../crypto/recorded-relays.js';

interface RecordedHandshake {
  readonly fingerprint?: string;
  readonly challenge?: string;
  readonly sessionId: string;
  readonly leafDerBase64?: string;
  readonly caDerBase64?: string;
}

const facts = (name: string): RecordedHandshake =>
  JSON.parse(readVector(`handshake/${name}.json`).toString('utf8')) as RecordedHandshake;
const recorded = (name: string): Uint8Array => new Uint8Array(readVector(`handshake/${name}.block`));

describe('the values of section 14.5', () => {
  it('a client handshake of version 3', () => {
    const block = encodeClientHandshake({ version: 3, keyHash: range(1, 32) });
    expect(hex(block.subarray(0, 37))).toBe(`0023000320${hex(range(1, 32))}`);
    expect(unpad(block)).toHaveLength(35);
  });

  it('a web hello with a challenge, and without', () => {
    const block = encodeWebHello(range(1, 32));
    expect(hex(block.subarray(0, 36))).toBe(`00223120${hex(range(1, 32))}`);
    expect(decodeWebHello(block)).toStrictEqual(range(1, 32));
    expect(hex(encodeWebHello(undefined).subarray(0, 4))).toBe('00013023');
    expect(decodeWebHello(encodeWebHello(undefined))).toBeUndefined();
  });

  it('a version range', () => {
    const hello = { versions: { min: 1, max: 3 }, sessionId: range(1, 32), certificates: [range(1, 3)] };
    const block = encodeServerHello({ ...hello, signedKey: range(1, 2), webProof: new Uint8Array() });
    expect(hex(block.subarray(2, 6))).toBe('00010003');
  });
});

describe.each(['ed25519', 'ed448'])('the recorded %s relay', (name) => {
  const known = facts(name);

  it('greets with a hello that is read and written again to the same bytes', () => {
    const block = recorded(`${name}-server-hello`);
    const hello = decodeServerHello(block);
    expect(hello.versions).toStrictEqual({ min: 1, max: 3 });
    expect(hex(hello.sessionId)).toBe(known.sessionId);
    const shown = [known.leafDerBase64, known.caDerBase64].map((der) => Buffer.from(der ?? '', 'base64'));
    expect(hello.certificates.map(hex)).toStrictEqual(shown.map(hex));
    expect(hello.webProof).toHaveLength(0);
    expect(hex(unpad(encodeServerHello(hello)))).toBe(hex(unpad(block)));
    expect(hex(encodeServerHello(hello))).toBe(hex(block));
  });

  it('answers a wrong key hash with a bare error', () => {
    const block = recorded(`${name}-wrong-keyhash-reply`);
    expect(decodeBareError(block)).toStrictEqual({ type: 'HANDSHAKE' });
    expect(hex(encodeBareError({ type: 'HANDSHAKE' }))).toBe(hex(block));
    expect(() => decodeTransmission(block)).toThrow(failing('INVALID_BLOCK'));
  });

  it('was asked for PING and answered PONG', () => {
    const ping = recorded(`${name}-ping`);
    const sent = {
      sessionId: unhex(known.sessionId),
      correlationId: Buffer.from('abc'),
      entityId: new Uint8Array(),
    };
    expect(hex(encodeTransmission({ ...sent, command: Buffer.from('PING') }))).toBe(hex(ping));
    const pong = decodeTransmission(recorded(`${name}-pong`));
    expect(decodeResponse(pong.command)).toStrictEqual({ type: 'PONG' });
    expect([
      hex(pong.sessionId),
      hex(pong.correlationId),
      pong.entityId.length,
      pong.authorization.length,
    ]).toStrictEqual([known.sessionId, '616263', 0, 0]);
  });

  it.each([
    ['short-block', { type: 'BLOCK' }, ''],
    ['unknown-command', { type: 'CMD', reason: 'UNKNOWN' }, '616263'],
  ])('answers a %s with an error in a transmission', (what, error, correlationId) => {
    const block = recorded(`${name}-${what}-reply`);
    expect(decodeBareError(block)).toBeUndefined();
    const transmission = decodeTransmission(block);
    expect(decodeResponse(transmission.command)).toStrictEqual({ type: 'ERR', error });
    expect([hex(transmission.sessionId), hex(transmission.correlationId)]).toStrictEqual([
      known.sessionId,
      correlationId,
    ]);
  });
});

describe('the recorded browser variant', () => {
  const known = facts('web');
  const hello = decodeServerHello(recorded('web-server-hello'));
  const [leaf = new Uint8Array()] = hello.certificates;
  const { publicKey } = readCertificate(leaf);
  const signed = concatBytes(unhex(known.challenge ?? ''), unhex(known.sessionId));

  it('has a proof that verifies with the key of its online certificate', () => {
    expect(known.challenge).toBe(hex(range(1, 32)));
    expect(hex(hello.sessionId)).toBe(known.sessionId);
    expect(hello.webProof).toHaveLength(114);
    expect(verify(publicKey, signed, hello.webProof)).toBe(true);
    expect(verifySessionKey(publicKey, hello.signedKey)).toHaveLength(44);
  });

  it('has a proof of nothing else', () => {
    fc.assert(
      fc.property(damaged(signed), (other) => {
        fc.pre(hex(other) !== hex(signed));
        expect(verify(publicKey, other, hello.webProof)).toBe(false);
      }),
      { numRuns: 20 },
    );
  });

  it('is written again to the same bytes', () => {
    expect(hex(encodeServerHello(hello))).toBe(hex(recorded('web-server-hello')));
  });

  it('is refused without a hello, with a bare error', () => {
    expect(decodeBareError(recorded('web-without-hello-reply'))).toStrictEqual({ type: 'SESSION' });
  });
});

it('the recorded hello over ALPN http/1.1 is that of the same relay', () => {
  const hello = decodeServerHello(recorded('http11-reply'));
  expect(hello.certificates.map(hex)).toStrictEqual(
    decodeServerHello(recorded('ed448-server-hello')).certificates.map(hex),
  );
});

it('the recorded PONG without ALPN is a transmission of version 1', () => {
  const pong = decodeTransmission(recorded('noalpn-reply'));
  expect(decodeResponse(pong.command)).toStrictEqual({ type: 'PONG' });
  expect(pong.sessionId).toHaveLength(32);
});

const serverHello = fc.record({
  versions: fc
    .tuple(fc.nat(65535), fc.nat(65535))
    .map(([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) })),
  sessionId: fc.uint8Array({ maxLength: 255 }),
  certificates: fc.array(fc.uint8Array({ maxLength: 600 }), { minLength: 1, maxLength: 4 }),
  signedKey: fc.uint8Array({ maxLength: 300 }),
  webProof: fc.uint8Array({ maxLength: 255 }),
});

describe('a hello', () => {
  it('of a relay is read as it was written', () => {
    fc.assert(
      fc.property(serverHello, (hello) => {
        expect(decodeServerHello(encodeServerHello(hello))).toEqual(hello);
      }),
    );
  });

  it('of a relay may lack the proof, and may go on behind it', () => {
    const hello = { versions: { min: 1, max: 3 }, sessionId: range(1, 32), certificates: [range(1, 9)] };
    const full = { ...hello, signedKey: range(1, 5), webProof: new Uint8Array() };
    const body = unpad(encodeServerHello(full));
    expect(decodeServerHello(pad(body.subarray(0, -1)))).toStrictEqual(full);
    expect(decodeServerHello(pad(concatBytes(body, range(1, 50))))).toStrictEqual(full);
  });

  it('of a relay is refused when it is cut off, has no certificates or an impossible version range', () => {
    const body = unpad(recorded('ed25519-server-hello'));
    for (let length = 0; length < body.length - 1; length += 7)
      expect(() => decodeServerHello(pad(body.subarray(0, length)))).toThrow(failing('INVALID_ENCODING'));
    const noCertificates = concatBytes(body.subarray(0, 37), Uint8Array.of(0), body.subarray(38));
    expect(() => decodeServerHello(pad(noCertificates))).toThrow(failing('INVALID_ENCODING'));
    const backwards = concatBytes(Uint8Array.of(0, 3, 0, 1), body.subarray(4));
    expect(() => decodeServerHello(pad(backwards))).toThrow(failing('INVALID_ENCODING'));
  });

  it('of a browser has a challenge of 32 bytes or none', () => {
    for (const length of [0, 31, 33])
      expect(() => decodeWebHello(encodeWebHello(new Uint8Array(length)))).toThrow(
        failing('INVALID_ENCODING'),
      );
    expect(() => decodeWebHello(pad(new Uint8Array()))).toThrow(failing('INVALID_ENCODING'));
    expect(decodeWebHello(pad(unhex('30aabb')))).toBeUndefined();
  });

  it('or handshake in a block of another size is refused', () => {
    for (const length of [0, 100, 16383, 16385])
      for (const decode of [decodeServerHello, decodeWebHello, decodeClientHandshake])
        expect(() => decode(new Uint8Array(length))).toThrow(failing('INVALID_BLOCK'));
  });
});

it('a client handshake is read as it was written, whatever follows', () => {
  fc.assert(
    fc.property(fc.nat(65535), bytes(32), fc.uint8Array({ maxLength: 20 }), (version, keyHash, more) => {
      const block = encodeClientHandshake({ version, keyHash });
      expect(decodeClientHandshake(pad(concatBytes(unpad(block), more)))).toStrictEqual({ version, keyHash });
    }),
  );
  expect(
    encodeBase64Url(
      decodeClientHandshake(encodeClientHandshake({ version: 1, keyHash: range(1, 32) })).keyHash,
    ),
  ).toMatch(/^AQID/);
});
