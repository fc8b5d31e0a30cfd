import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatSizeText, parseSizeText } from '#src/protocol/size-text.js';
import { BRIEFLY, parseOrFailure } from './description-samples.js';

const TABLE: readonly [number, string][] = [
  [0, '0'],
  [500, '500'],
  [1024, '1kb'],
  [2048, '2kb'],
  [70001, '70001'],
  [1048576, '1mb'],
  [8388608, '8mb'],
  [27262976, '26mb'],
  [1310720, '1280kb'],
  [1073741824, '1gb'],
];

describe('size texts', () => {
  it.each(TABLE)('writes and reads %i bytes as %s', (bytes, text) => {
    expect(formatSizeText(bytes)).toBe(text);
    expect(parseSizeText(text)).toBe(bytes);
  });

  it('reads back every size that it writes', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (bytes) => {
        expect(parseSizeText(formatSizeText(bytes))).toBe(bytes);
      }),
      BRIEFLY,
    );
  });

  it.each([
    '',
    'kb',
    '1KB',
    '1 kb',
    ' 1',
    '1.5mb',
    '-1',
    '+1',
    '1e3',
    '0x10',
    '1tb',
    '٣',
    '1kb\n',
    '9007199254740992',
    '9999999999999gb',
  ])('refuses %j', (text) => {
    expect(() => parseSizeText(text)).toThrow(expect.objectContaining({ code: 'INVALID_SIZE' }));
  });

  it.each([-1, 0.5, NaN, Infinity, 2 ** 53])('does not write %d as a size', (bytes) => {
    expect(() => formatSizeText(bytes)).toThrow(expect.objectContaining({ code: 'INVALID_SIZE' }));
  });

  it('gives a size or a failure for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        parseOrFailure(() => parseSizeText(text));
      }),
      BRIEFLY,
    );
  });
});
