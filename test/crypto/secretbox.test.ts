import fc from 'fast-check';
import nacl from 'tweetnacl';
import { describe, expect, it } from 'vitest';
import {
  MAX_BOX_LENGTH,
  openTagLast,
  randomBytes,
  sealTagFirst,
  sealTagLast,
  SecretBoxStream,
  sha256,
  sha512,
} from '#src/crypto/index.js';
import { concatBytes, encodeBase64Url, encodeUtf8, pad } from '#src/protocol/index.js';
import { bytes, damaged, hex, range, unhex } from './byte-arbitraries.js';
import { failing } from './expected-failure.js';
import { firstSubkey, keystream, tagOf, xorBytes } from './reference-box.js';

const KEY = range(1, 32);
const NONCE = range(1, 24);
const SECRET = unhex('a84dc7c3c8f058b1b2dc4cd1e9b5dc0a7987f88b6a9564cde3391fc421159e77');
const message = fc.uint8Array({ maxLength: 400 });

describe('vectors of sections 14.1 and 14.2', () => {
  it('the first HSalsa20 step', () => {
    expect(hex(firstSubkey(KEY))).toBe('12b02daad2462fee676287c5f9b0a7107d7aa4776bd59c360e3e3ae84cd72063');
    expect(hex(firstSubkey(SECRET))).toBe('ec88f6e13b22bf9f04d480e0d8525c08ac7e2f48e212742bcbcafa104a74b08d');
  });

  it('tag first', () => {
    const sealed = sealTagFirst(KEY, NONCE, pad(encodeUtf8('hello NaCl secretbox'), 256));
    expect(sealed).toHaveLength(272);
    expect(hex(sealed.subarray(0, 48))).toBe(
      'bc861d7776bd7b5ef059d8b5b415d38ad890960a28c657199bb296d55c36d0df7d9344af9014c6e672553847694f734f',
    );
    expect(hex(sha256(sealed))).toBe('77cb90ec68815fe43db9bd72578b5bb0d54b5b51c0dea3fd9aabb6b066bd3396');
  });

  it('tag last', () => {
    const text = concatBytes(unhex('000000000000000f'), encodeUtf8('hello streaming'.padEnd(56, '#')));
    expect(hex(sealTagLast(KEY, NONCE, text))).toBe(
      'd884fe6f44aa3836bdb6b9d51365c6c87d9351a0960282e672553847694f734f' +
        '82358c0b2b8cd15c9655896bdf4e6b294112299991219760eda29c6d73bccac2' +
        '22ccbffaf29caf72dcea718c6c1f032e',
    );
  });

  it('a whole encrypted file', () => {
    const text = '\0\0\0\0\0\0\0\x2b\btest.txt0Hello, this is test file content!'.padEnd(240, '#');
    const sealed = sealTagLast(KEY, NONCE, encodeUtf8(text));
    expect(hex(sealed.subarray(0, 32))).toBe(
      'd884fe6f44aa3812dda7b0ca086bc1c47bc678a893008ae97102730d394c391f',
    );
    expect(hex(sha256(sealed))).toBe('2a53202895336d2e19c5db31e00b907dffb21805c6242b25f58614e6217474be');
    expect(encodeBase64Url(sha512(sealed))).toBe(
      'MxCO01UZNwRgGpxXfG8Ghyt7KB4z2dgKh_0J9Aru-ndKntAgRmAEHHL0N_C-qWIEA8WGJm3N-xxHklYweBIhSg==',
    );
  });

  it('a chunk on its way', () => {
    expect(hex(sealTagLast(SECRET, range(0, 23), encodeUtf8('transport chunk data')))).toBe(
      '6687ba37294d12a08dd2226b8a2c7a9d116b6067bbe396c1ae267393ed4614ab3fb03274',
    );
  });
});

describe('whole messages', () => {
  it('equal NaCl secretbox under HSalsa20(secret, 0), by two independent implementations', () => {
    fc.assert(
      fc.property(bytes(32), bytes(24), message, (secret, nonce, text) => {
        const sealed = sealTagFirst(secret, nonce, text);
        expect(hex(sealed)).toBe(hex(nacl.secretbox(text, nonce, firstSubkey(secret))));
        const ciphertext = xorBytes(text, keystream(secret, nonce, 32, text.length));
        expect(hex(sealed)).toBe(hex(concatBytes(tagOf(secret, nonce, ciphertext), ciphertext)));
        expect(hex(sealTagLast(secret, nonce, text))).toBe(
          hex(concatBytes(sealed.subarray(16), sealed.subarray(0, 16))),
        );
      }),
    );
  });

  it('open again, and the input stays as it was', () => {
    fc.assert(
      fc.property(bytes(32), bytes(24), message, (secret, nonce, text) => {
        const last = sealTagLast(secret, nonce, text);
        const before = hex(last);
        expect(openTagLast(secret, nonce, last)).toStrictEqual(text);
        expect(hex(last)).toBe(before);
      }),
    );
  });

  it('do not open, and stay as they are, when anything has changed', () => {
    const last = sealTagLast(KEY, NONCE, range(1, 100));
    fc.assert(
      fc.property(damaged(last), (other) => {
        fc.pre(hex(other) !== hex(last));
        const before = hex(other);
        expect(openTagLast(KEY, NONCE, other)).toBeUndefined();
        expect(hex(other)).toBe(before);
      }),
    );
    expect(openTagLast(KEY, range(2, 25), last)).toBeUndefined();
    expect(openTagLast(range(2, 33), NONCE, last)).toBeUndefined();
  });

  it('do not open when they are shorter than a tag', () => {
    for (let length = 0; length < 16; length++)
      expect(openTagLast(KEY, NONCE, new Uint8Array(length))).toBeUndefined();
  });
});

describe('the stream', () => {
  it('decrypts into other memory as it does in place, and leaves the input alone', () => {
    fc.assert(
      fc.property(message, fc.nat(1000), (text, offset) => {
        const stream = new SecretBoxStream(KEY, NONCE);
        const [input, inPlace, output] = [
          new Uint8Array(text),
          new Uint8Array(text),
          new Uint8Array(text.length),
        ];
        stream.xor(inPlace, offset);
        stream.xor(input, offset, output);
        expect([hex(output), hex(input)]).toStrictEqual([hex(inPlace), hex(text)]);
      }),
    );
    expect(() => {
      new SecretBoxStream(KEY, NONCE).xor(new Uint8Array(2), 0, new Uint8Array(3));
    }).toThrow(failing('INVALID_ARGUMENT'));
  });

  it('gives the same bytes however it is cut, in any order of the pieces', () => {
    const whole = randomBytes(3000);
    const expected = hex(sealTagLast(KEY, NONCE, whole).subarray(0, 3000));
    fc.assert(
      fc.property(fc.array(fc.nat(3000), { maxLength: 12 }), fc.boolean(), (cuts, backwards) => {
        const copy = new Uint8Array(whole);
        const edges = [0, ...cuts.sort((a, b) => a - b), 3000];
        const pieces = edges.slice(1).map((end, index) => ({ start: edges[index] ?? 0, end }));
        const stream = new SecretBoxStream(KEY, NONCE);
        for (const { start, end } of backwards ? pieces.reverse() : pieces)
          stream.xor(copy.subarray(start, end), start);
        expect(hex(copy)).toBe(expected);
      }),
    );
  });

  it('gives the same bytes one by one', () => {
    const text = range(0, 200);
    const stream = new SecretBoxStream(KEY, NONCE);
    for (let at = 0; at < text.length; at++) stream.xor(text.subarray(at, at + 1), at);
    expect(hex(text)).toBe(hex(sealTagLast(KEY, NONCE, range(0, 200)).subarray(0, 201)));
  });

  it('agrees with an independent keystream at any offset, far beyond 4 GiB', () => {
    const offset = fc.oneof(
      fc.nat(1000),
      fc.integer({ min: -200, max: 200 }).map((near) => 2 ** 32 + near),
      fc.integer({ min: 2 ** 32, max: MAX_BOX_LENGTH - 1000 }),
      fc.integer({ min: MAX_BOX_LENGTH - 1000, max: MAX_BOX_LENGTH - 600 }),
    );
    fc.assert(
      fc.property(bytes(32), bytes(24), offset, fc.nat(300), (secret, nonce, start, length) => {
        const zeroes = new Uint8Array(length);
        new SecretBoxStream(secret, nonce).xor(zeroes, start);
        expect(hex(zeroes)).toBe(hex(keystream(secret, nonce, 32 + start, length)));
      }),
    );
  });

  it('changes nothing beside the bytes it is given', () => {
    const memory = new Uint8Array(300);
    new SecretBoxStream(KEY, NONCE).xor(memory.subarray(100, 200), 17);
    expect(memory.subarray(0, 100).every((byte) => byte === 0)).toBe(true);
    expect(memory.subarray(200).every((byte) => byte === 0)).toBe(true);
  });

  it('has a tag that is the same in pieces as at once', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 100 })),
        bytes(32),
        bytes(24),
        (pieces, secret, nonce) => {
          const tag = new SecretBoxStream(secret, nonce).tag();
          for (const piece of pieces) tag.update(piece);
          expect(hex(tag.finish())).toBe(hex(tagOf(secret, nonce, concatBytes(...pieces))));
        },
      ),
    );
  });

  it('keeps several tags apart', () => {
    const stream = new SecretBoxStream(KEY, NONCE);
    const [a, b] = [stream.tag(), stream.tag()];
    a.update(range(1, 10));
    b.update(range(1, 5));
    stream.xor(new Uint8Array(100), 0);
    b.update(range(6, 10));
    expect(hex(a.finish())).toBe(hex(b.finish()));
  });

  it('does not depend on its arguments after it was made', () => {
    const [secret, nonce] = [Buffer.from(KEY), Buffer.from(NONCE)];
    const stream = new SecretBoxStream(secret, nonce);
    secret.fill(0);
    nonce.fill(0);
    const zeroes = new Uint8Array(80);
    stream.xor(zeroes, 0);
    expect(hex(zeroes)).toBe(hex(keystream(KEY, NONCE, 32, 80)));
  });

  it('refuses keys and nonces of other lengths, impossible offsets and boxes that are too long', () => {
    expect(() => new SecretBoxStream(new Uint8Array(31), NONCE)).toThrow(failing('INVALID_KEY'));
    expect(() => new SecretBoxStream(KEY, new Uint8Array(25))).toThrow(failing('INVALID_KEY'));
    const stream = new SecretBoxStream(KEY, NONCE);
    expect(() => {
      stream.xor(new Uint8Array(1), -1);
    }).toThrow(failing('INVALID_ARGUMENT'));
    expect(() => {
      stream.xor(new Uint8Array(1), 0.5);
    }).toThrow(failing('INVALID_ARGUMENT'));
    expect(() => {
      stream.xor(new Uint8Array(1), MAX_BOX_LENGTH);
    }).toThrow(failing('FILE_TOO_LARGE'));
    const last = new Uint8Array(1);
    stream.xor(last, MAX_BOX_LENGTH - 1);
  });
});
