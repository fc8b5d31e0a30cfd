import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatBytes, encodeUtf8 } from '#src/protocol/bytes.js';
import {
  decodePlaintextPrefix,
  encodeFileHeader,
  encodePlaintextPrefix,
  fitFileName,
  payloadLength,
} from '#src/protocol/file-header.js';
import { BRIEFLY, parseOrFailure } from './description-samples.js';

const corrupt = expect.objectContaining({ code: 'FILE_CORRUPT' });

const utf8Length = (text: string): number => encodeUtf8(text).length;

const shortText = fc.string({ unit: 'grapheme', maxLength: 40 });

describe('the header of a file', () => {
  it('has the layout of the reference', () => {
    expect(encodeFileHeader({ name: 'a.txt' })).toEqual(encodeUtf8('\x05a.txt0'));
    expect(encodeFileHeader({ name: '', extra: 'xy' })).toEqual(encodeUtf8('\x001\x02xy'));
    const prefix = encodePlaintextPrefix({ name: 'a.txt' }, 1000);
    expect(prefix).toEqual(concatBytes(Uint8Array.of(0, 0, 0, 0, 0, 0, 3, 239), encodeUtf8('\x05a.txt0')));
    expect(payloadLength(encodeFileHeader({ name: 'a.txt' }), 1000)).toBe(8 + 7 + 1000 + 16);
  });

  it('is read back as it was written, whatever content follows', () => {
    const header = fc
      .tuple(shortText, fc.option(shortText))
      .map(([name, extra]) => (extra === null ? { name } : { name, extra }));
    fc.assert(
      fc.property(
        header,
        fc.integer({ min: 0, max: 2 ** 52 }),
        fc.uint8Array({ maxLength: 2000 }),
        (written, contentLength, content) => {
          const prefix = encodePlaintextPrefix(written, contentLength);
          const read = decodePlaintextPrefix(concatBytes(prefix, content));
          expect(read).toEqual({ header: written, contentOffset: prefix.length, contentLength });
        },
      ),
      BRIEFLY,
    );
  });

  it('may hold texts of 255 bytes and no longer ones', () => {
    const longest = { name: 'é'.repeat(127) + 'e', extra: 'x'.repeat(255) };
    expect(decodePlaintextPrefix(encodePlaintextPrefix(longest, 0)).header).toEqual(longest);
    for (const header of [{ name: 'é'.repeat(128) }, { name: '', extra: 'x'.repeat(256) }])
      expect(() => encodeFileHeader(header)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  it('is not written for a file of impossible size', () => {
    for (const contentLength of [-1, 0.5, NaN, Number.MAX_SAFE_INTEGER])
      expect(() => encodePlaintextPrefix({ name: 'a' }, contentLength)).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      );
  });

  it('may have a name that is not UTF-8: what is invalid is replaced', () => {
    const bytes = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 5, 3, 0x61, 0xff, 0x62, 0x30);
    expect(decodePlaintextPrefix(bytes)).toEqual({
      header: { name: 'a\ufffdb' },
      contentOffset: 13,
      contentLength: 0,
    });
  });

  it('is refused with a negative, too small or huge length, and when it is cut off', () => {
    const good = encodePlaintextPrefix({ name: 'name', extra: 'more' }, 10);
    for (let length = 0; length < good.length; length++)
      expect(() => decodePlaintextPrefix(good.subarray(0, length))).toThrow(corrupt);
    const withLength = (...prefix: number[]): Uint8Array =>
      concatBytes(Uint8Array.from(prefix), good.subarray(8));
    for (const bytes of [
      withLength(255, 255, 255, 255, 255, 255, 255, 255),
      withLength(128, 0, 0, 0, 0, 0, 0, 0),
      withLength(0, 0, 0, 0, 0, 0, 0, 10),
      withLength(0, 255, 0, 0, 0, 0, 0, 0),
    ])
      expect(() => decodePlaintextPrefix(bytes)).toThrow(corrupt);
  });

  it('gives a header or a failure for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1100 }), fc.boolean(), (bytes, small) => {
        const input = small ? concatBytes(new Uint8Array(7), bytes) : bytes;
        parseOrFailure(() => decodePlaintextPrefix(input));
      }),
      BRIEFLY,
    );
  });
});

describe('fitting a file name', () => {
  it('leaves names of up to 255 bytes alone', () => {
    for (const name of ['', 'a.txt', 'é'.repeat(127), '.hidden']) expect(fitFileName(name)).toBe(name);
  });

  it('keeps the extension and cuts between code points', () => {
    expect(fitFileName(`${'a'.repeat(300)}.jpeg`)).toBe(`${'a'.repeat(250)}.jpeg`);
    expect(fitFileName(`${'😀'.repeat(80)}.txt`)).toBe(`${'😀'.repeat(62)}.txt`);
  });

  it('cuts the extension when it leaves no room for a name', () => {
    expect(fitFileName(`a.${'x'.repeat(300)}`)).toBe(`a.${'x'.repeat(253)}`);
    expect(fitFileName(`😀.${'x'.repeat(252)}`)).toBe(`😀.${'x'.repeat(250)}`);
    expect(fitFileName(`.${'x'.repeat(300)}`)).toBe(`.${'x'.repeat(254)}`);
  });

  it('makes every name fit, without half a code point', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 60, maxLength: 400 }), (name) => {
        const fitted = fitFileName(name);
        expect(utf8Length(fitted)).toBeLessThanOrEqual(255);
        expect(utf8Length(fitted)).toBeGreaterThan(Math.min(utf8Length(name), 255) - 4);
        expect(fitted).not.toMatch(/[\ud800-\udbff](?![\udc00-\udfff])/);
      }),
      { ...BRIEFLY, numRuns: 500 },
    );
  });
});
