import { createPrivateKey } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { generateKeyPair, pemDecode, pemEncode } from '#src/crypto/index.js';
import { isXftpError } from '#src/protocol/index.js';
import { hex, range } from './byte-arbitraries.js';
import { failing } from './expected-failure.js';
import { readVector } from './recorded-relays.js';

const unreadable = failing('INVALID_ENCODING');

it.each([
  'relay-ed25519/cfg/ca.crt',
  'relay-ed25519/cfg/server.key',
  'relay-ed448/etc/server.crt',
  'relay-ed448/etc/ca.key',
])('writes the same text as OpenSSL did for %s', (path) => {
  const text = readVector(path).toString('utf8');
  const label = path.endsWith('.crt') ? 'CERTIFICATE' : 'PRIVATE KEY';
  expect(pemEncode(label, pemDecode(text, label))).toBe(text);
});

it('keys in PEM are readable for OpenSSL', () => {
  const { privateKey } = generateKeyPair('ed448');
  expect(createPrivateKey(pemEncode('PRIVATE KEY', privateKey)).asymmetricKeyType).toBe('ed448');
});

it('reads what it wrote, amid other text and with Windows line ends', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (der) => {
      const text = `subject=x\n${pemEncode('PRIVATE KEY', range(1, 9))}${pemEncode('CERTIFICATE', der)}more\n`;
      expect(hex(pemDecode(text, 'CERTIFICATE'))).toBe(hex(der));
      expect(hex(pemDecode(text.replaceAll('\n', '\r\n'), 'CERTIFICATE'))).toBe(hex(der));
    }),
  );
});

it('takes the first of several blocks', () => {
  const text = pemEncode('CERTIFICATE', range(1, 5)) + pemEncode('CERTIFICATE', range(6, 9));
  expect(hex(pemDecode(text, 'CERTIFICATE'))).toBe('0102030405');
});

it('refuses missing, cut, empty and damaged blocks', () => {
  const text = pemEncode('CERTIFICATE', range(1, 90));
  expect(() => pemDecode('', 'CERTIFICATE')).toThrow(unreadable);
  expect(() => pemDecode(text, 'PRIVATE KEY')).toThrow(unreadable);
  expect(() => pemDecode(text.slice(0, -10), 'CERTIFICATE')).toThrow(unreadable);
  expect(() => pemDecode(text.replace('A', '!'), 'CERTIFICATE')).toThrow(unreadable);
  expect(() => pemDecode(text.replace('A', ''), 'CERTIFICATE')).toThrow(unreadable);
  expect(() => pemDecode(pemEncode('CERTIFICATE', new Uint8Array()), 'CERTIFICATE')).toThrow(unreadable);
});

it('gives no other error for any text', () => {
  const piece = fc.oneof(
    fc.string(),
    fc.constantFrom('-----BEGIN CERTIFICATE-----', '-----END CERTIFICATE-----', 'AAEC', '=', '\n'),
  );
  fc.assert(
    fc.property(
      fc.array(piece).map((pieces) => pieces.join('')),
      (text) => {
        try {
          pemDecode(text, 'CERTIFICATE');
        } catch (error) {
          expect(isXftpError(error, 'INVALID_ENCODING')).toBe(true);
        }
      },
    ),
  );
});
