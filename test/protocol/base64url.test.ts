import fc from 'fast-check';
import { expect, it } from 'vitest';

import { decodeBase64Url, encodeBase64Url } from '#src/protocol/base64url.js';
import { failing } from '../crypto/expected-failure.js';

it('has the values of section 14.1', () => {
  expect(encodeBase64Url(Uint8Array.of(0, 1, 2))).toBe('AAEC');
  expect(encodeBase64Url(Uint8Array.of(1))).toBe('AQ==');
  expect(decodeBase64Url('AQ==')).toStrictEqual(Uint8Array.of(1));
});

it('is that of Node, with padding', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const text = encodeBase64Url(bytes);
      const padding = '='.repeat((3 - (bytes.length % 3)) % 3);
      expect(text).toBe(Buffer.from(bytes).toString('base64url') + padding);
      expect(decodeBase64Url(text)).toStrictEqual(bytes);
      expect(decodeBase64Url(text.replaceAll('=', ''))).toStrictEqual(bytes);
    }),
  );
});

it.each([
  'A',
  'AAAAA',
  'AA=',
  'AAA==',
  '=',
  '====',
  'A===',
  'AB',
  'AAB',
  'AR==',
  '+AAA',
  'AA/A',
  'AA A',
  'AAé',
  'AAAA\n',
  'AA==AA==',
])('refuses %j', (text) => {
  expect(() => decodeBase64Url(text)).toThrow(failing('INVALID_ENCODING'));
});

it('reads every text that it takes in one way only', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[A-Za-z0-9_-]{0,12}={0,2}$/), (text) => {
      let bytes: Uint8Array;
      try {
        bytes = decodeBase64Url(text);
      } catch {
        return;
      }
      expect(encodeBase64Url(bytes).replaceAll('=', '')).toBe(text.replaceAll('=', ''));
    }),
  );
});
