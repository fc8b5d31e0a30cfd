import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { type Command, decodeCommand, encodeCommand, MAX_RECIPIENT_KEYS } from '#src/protocol/commands.js';
import { concatBytes, encodeUtf8 } from '#src/protocol/bytes.js';
import { encodePublicKey } from '#src/protocol/key-encoding.js';
import { bytes, hex, range } from '../crypto/byte-arbitraries.js';
import { failing } from '../crypto/expected-failure.js';

const key = fc.oneof(
  bytes(32).map((raw) => encodePublicKey({ algorithm: 'ed25519', raw })),
  bytes(57).map((raw) => encodePublicKey({ algorithm: 'ed448', raw })),
  bytes(32).map((raw) => encodePublicKey({ algorithm: 'x25519', raw })),
);
const x25519 = bytes(32).map((raw) => encodePublicKey({ algorithm: 'x25519', raw }));
const keys = fc.array(key, { minLength: 1, maxLength: 5 });
const password = fc
  .array(fc.constantFrom(...Array.from('!#$09AZ[]az{|}~ÿ¡', (letter) => letter.charCodeAt(0))), {
    minLength: 1,
    maxLength: 255,
  })
  .map((codes) => Uint8Array.from(codes));
const newChunk = {
  type: fc.constant('FNEW' as const),
  senderKey: key,
  size: fc.nat(2 ** 32 - 1),
  digest: bytes(32),
  recipientKeys: keys,
};
const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record(newChunk),
  fc.record({ ...newChunk, password }),
  fc.record({ type: fc.constant('FADD' as const), recipientKeys: keys }),
  fc.record({ type: fc.constant('FGET' as const), key: x25519 }),
  fc.constantFrom(...(['FPUT', 'FDEL', 'FACK', 'PING'] as const)).map((type) => ({ type })),
);

const [ed25519] = [encodePublicKey({ algorithm: 'ed25519', raw: range(1, 32) })];
const download = encodePublicKey({ algorithm: 'x25519', raw: range(1, 32) });

describe('the bytes of section 14.4', () => {
  const fields = { type: 'FNEW', senderKey: range(1, 8), size: 12345, digest: range(31, 38) } as const;
  const head = '464e45572008010203040506070800003039081f20212223242526';

  it('FNEW with two keys and a password', () => {
    const recipientKeys = [range(11, 18), range(21, 28)];
    expect(hex(encodeCommand({ ...fields, recipientKeys, password: range(41, 48) }))).toBe(
      `${head}02080b0c0d0e0f1011120815161718191a1b1c3108292a2b2c2d2e2f30`,
    );
  });

  it('FNEW with one key and no password', () => {
    expect(hex(encodeCommand({ ...fields, recipientKeys: [range(11, 18)] }))).toBe(
      `${head}01080b0c0d0e0f10111230`,
    );
  });

  it('FGET', () => {
    expect(hex(encodeCommand({ type: 'FGET', key: range(51, 58) }))).toBe('464745542008333435363738393a');
  });

  it('the others', () => {
    for (const type of ['FPUT', 'FDEL', 'FACK', 'PING'] as const)
      expect(encodeCommand({ type })).toStrictEqual(encodeUtf8(type));
  });
});

describe('a command', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(command, (sent) => {
        expect(decodeCommand(encodeCommand(sent))).toEqual(sent);
      }),
    );
  });

  it('is SYNTAX when it is cut off or goes on, with the same tag', () => {
    fc.assert(
      fc.property(command, fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 3 }), (sent, cut, more) => {
        const sentBytes = encodeCommand(sent);
        const parameters = sentBytes.length - 5;
        if (parameters > 0)
          expect(decodeCommand(sentBytes.subarray(0, 5 + (cut % parameters)))).toStrictEqual(syntax);
        if (parameters > 0) expect(decodeCommand(concatBytes(sentBytes, more))).toStrictEqual(syntax);
      }),
    );
  });

  const syntax = { type: 'INVALID', reason: 'SYNTAX' };
  const unknown = { type: 'INVALID', reason: 'UNKNOWN' };

  it.each(['', ' ', 'fput', 'FPU', 'FPUTX', 'NEW', 'PING\0', 'ping', 'FNEWx', '\x80', 'OK'])(
    '%j is UNKNOWN',
    (text) => {
      expect(decodeCommand(encodeUtf8(text))).toStrictEqual(unknown);
    },
  );

  it.each([
    'PING ',
    'PING x',
    'FPUT ',
    'FDEL a',
    'FACK  ',
    'FNEW',
    'FADD',
    'FGET',
    'FNEW ',
    'FADD ',
    'FGET ',
  ])('%j is SYNTAX', (text) => {
    expect(decodeCommand(encodeUtf8(text))).toStrictEqual(syntax);
  });

  const fields = {
    type: 'FNEW',
    senderKey: ed25519,
    size: 1,
    digest: range(1, 32),
    recipientKeys: [ed25519],
  } as const;

  it('is SYNTAX with a key that is none, or is of the wrong type for a download', () => {
    for (const wrong of [
      { ...fields, senderKey: range(1, 44) },
      { ...fields, recipientKeys: [ed25519, ed25519.subarray(1)] },
      { type: 'FADD', recipientKeys: [new Uint8Array()] },
      { type: 'FGET', key: ed25519 },
    ] as const)
      expect(decodeCommand(encodeCommand(wrong))).toStrictEqual(syntax);
    expect(decodeCommand(encodeCommand({ type: 'FGET', key: download }))).toMatchObject({ type: 'FGET' });
  });

  it('is SYNTAX with a password that the reference refuses', () => {
    for (const letter of [' ', '@', ':', '/', '\n', '\x7f'])
      expect(decodeCommand(encodeCommand({ ...fields, password: encodeUtf8(`a${letter}b`) }))).toStrictEqual(
        syntax,
      );
  });

  it('is SYNTAX with a marker that is neither 0 nor 1', () => {
    const sent = encodeCommand(fields);
    for (const marker of [0, 1, 0x32, 0x54]) {
      sent[sent.length - 1] = marker;
      expect(decodeCommand(sent)).toStrictEqual(syntax);
    }
  });

  it('has 1 to 255 recipient keys', () => {
    const many = (count: number): Command => ({
      type: 'FADD',
      recipientKeys: Array.from({ length: count }, () => ed25519),
    });
    expect(decodeCommand(encodeCommand(many(MAX_RECIPIENT_KEYS)))).toMatchObject({
      recipientKeys: { length: 255 },
    });
    expect(() => encodeCommand(many(256))).toThrow(failing('INVALID_ENCODING'));
    expect(() => encodeCommand(many(0))).toThrow(failing('INVALID_ARGUMENT'));
    expect(decodeCommand(encodeUtf8('FADD \0'))).toStrictEqual(syntax);
  });
});
