import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { concatBytes, encodeUtf8 } from '#src/protocol/bytes.js';
import { ByteReader, ByteWriter } from '#src/protocol/encoding.js';
import { hex, unhex } from '../crypto/byte-arbitraries.js';
import { failing } from '../crypto/expected-failure.js';

const invalid = failing('INVALID_ENCODING');

function written(write: (writer: ByteWriter) => unknown): string {
  const writer = new ByteWriter();
  write(writer);
  return hex(writer.finish());
}

describe('the encoding', () => {
  it('is that of section 14.1', () => {
    expect(written((writer) => writer.i64(3).ascii('abc'))).toBe('0000000000000003616263');
    expect(written((writer) => writer.maybe('v2', (text) => writer.text(text)))).toBe('31027632');
    expect(written((writer) => writer.maybe(undefined, (text: string) => writer.text(text)))).toBe('30');
  });

  it('is that of section 0.1', () => {
    expect(written((writer) => writer.u8(255).u16(0x0102).u32(0x01020304))).toBe('ff010201020304');
    expect(written((writer) => writer.i64(-1))).toBe('ffffffffffffffff');
    expect(written((writer) => writer.short(Uint8Array.of(1, 2)).large(Uint8Array.of(3)))).toBe(
      '020102000103',
    );
    expect(written((writer) => writer.text('é'))).toBe('02c3a9');
    expect(written((writer) => writer.list([1, 2, 3], (item) => writer.u8(item)))).toBe('03010203');
    expect(written((writer) => writer.list([], (item: number) => writer.u8(item)))).toBe('00');
  });

  it('keeps to the largest lengths', () => {
    expect(written((writer) => writer.short(new Uint8Array(255)))).toHaveLength(2 * 256);
    expect(written((writer) => writer.large(new Uint8Array(65535)))).toHaveLength(2 * 65537);
    expect(
      written((writer) => writer.list(new Array<number>(255).fill(0), (n) => writer.u8(n))),
    ).toHaveLength(512);
  });

  it.each<[string, (writer: ByteWriter) => unknown]>([
    ['a short of 256 bytes', (writer) => writer.short(new Uint8Array(256))],
    ['a large of 65536 bytes', (writer) => writer.large(new Uint8Array(65536))],
    ['a text of 256 bytes in 128 characters', (writer) => writer.text('é'.repeat(128))],
    ['a list of 256 items', (writer) => writer.list(new Array<number>(256).fill(0), (n) => writer.u8(n))],
    ['a u8 of 256', (writer) => writer.u8(256)],
    ['a u16 of 65536', (writer) => writer.u16(65536)],
    ['a u32 of 2^32', (writer) => writer.u32(2 ** 32)],
    ['a negative number', (writer) => writer.u32(-1)],
    ['a fraction', (writer) => writer.u16(1.5)],
    ['no number', (writer) => writer.u16(NaN)],
    ['an i64 that is no safe integer', (writer) => writer.i64(2 ** 53)],
  ])('refuses to write %s', (_, write) => {
    expect(() => written(write)).toThrow(invalid);
  });
});

describe('what was written', () => {
  it('is read again', () => {
    const values = fc.record({
      u8: fc.integer({ min: 0, max: 255 }),
      u16: fc.integer({ min: 0, max: 65535 }),
      u32: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      i64: fc.maxSafeInteger(),
      short: fc.uint8Array({ maxLength: 255 }),
      large: fc.uint8Array({ maxLength: 1000 }),
      text: fc.string({ unit: 'grapheme', maxLength: 20 }),
      maybe: fc.option(fc.uint8Array({ maxLength: 5 }), { nil: undefined }),
      list: fc.array(fc.integer({ min: 0, max: 65535 }), { maxLength: 255 }),
      tail: fc.uint8Array({ maxLength: 50 }),
    });
    fc.assert(
      fc.property(values, (value) => {
        const writer = new ByteWriter().u8(value.u8).u16(value.u16).u32(value.u32).i64(value.i64);
        writer.short(value.short).large(value.large).text(value.text);
        writer.maybe(value.maybe, (bytes) => writer.short(bytes));
        writer.list(value.list, (item) => writer.u16(item)).raw(value.tail);
        const bytes = writer.finish();
        // Read out of the middle of a larger memory, as views are.
        const reader = new ByteReader(
          concatBytes(Uint8Array.of(9, 9), bytes, Uint8Array.of(9)).subarray(2, -1),
        );
        const read = {
          u8: reader.u8(),
          u16: reader.u16(),
          u32: reader.u32(),
          i64: reader.i64(),
          short: reader.short(),
          large: reader.large(),
          text: reader.text(),
          maybe: reader.maybe(() => reader.short()),
          list: reader.list(() => reader.u16()),
          tail: reader.tail(),
        };
        expect(read).toEqual(value);
        reader.end();
      }),
    );
  });
});

describe('reading', () => {
  it.each<[string, string, (reader: ByteReader) => unknown]>([
    ['a u16 of one byte', '01', (reader) => reader.u16()],
    ['a u32 of three bytes', '010203', (reader) => reader.u32()],
    ['an i64 of seven bytes', '01020304050607', (reader) => reader.i64()],
    ['an i64 beyond the safe integers', '0020000000000000', (reader) => reader.i64()],
    ['a short that is cut off', '0301', (reader) => reader.short()],
    ['a large that is cut off', '00030102', (reader) => reader.large()],
    ['a text that is not UTF-8', '02c328', (reader) => reader.text()],
    ['a half surrogate pair', '03eda080', (reader) => reader.text()],
    ['an optional value with another marker', '0100', (reader) => reader.maybe(() => reader.u8())],
    ['an optional value without a value', '31', (reader) => reader.maybe(() => reader.u8())],
    ['a list with too few items', '0301', (reader) => reader.list(() => reader.u8())],
    ['an empty list that must not be', '00', (reader) => reader.nonEmptyList(() => reader.u8())],
    ['raw bytes that are not there', '', (reader) => reader.raw(1)],
    [
      'an end that is none',
      '00',
      (reader) => {
        reader.end();
      },
    ],
  ])('%s is an error', (_, bytes, read) => {
    expect(() => read(new ByteReader(unhex(bytes)))).toThrow(invalid);
  });

  it('tells how much is left', () => {
    const reader = new ByteReader(encodeUtf8('abc'));
    reader.u8();
    expect(reader.remaining).toBe(2);
    expect(hex(reader.tail())).toBe('6263');
    expect(hex(reader.tail())).toBe('');
    reader.end();
  });

  it('keeps a byte order mark: it is part of the text', () => {
    expect(new ByteReader(unhex('03efbbbf')).text()).toBe('\ufeff');
  });
});
