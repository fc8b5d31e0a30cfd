import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DerReader } from '#src/crypto/der-reader.js';
import {
  DER_TAG,
  derBitString,
  derInteger,
  derOid,
  derSequence,
  derTime,
  derUtf8String,
  derValue,
} from '#src/crypto/der-writer.js';
import { isXftpError } from '#src/protocol/index.js';
import { hex, unhex } from './byte-arbitraries.js';
import { failing } from './expected-failure.js';

const malformed = failing('INVALID_CERTIFICATE');

describe('DER values', () => {
  it.each([
    { name: 'short length', der: derValue(4, new Uint8Array(2)), text: '04020000' },
    { name: 'number zero', der: derInteger(unhex('0000')), text: '020100' },
    { name: 'number with leading zeroes', der: derInteger(unhex('00007f')), text: '02017f' },
    { name: 'number with its top bit set', der: derInteger(unhex('80')), text: '02020080' },
    {
      name: 'identifier with several bytes a number',
      der: derOid('1.2.840.113549'),
      text: '06062a864886f70d',
    },
    { name: 'bits', der: derBitString(unhex('c8'), 3), text: '030203c8' },
    { name: 'text', der: derUtf8String('é'), text: '0c02c3a9' },
    { name: 'sequence', der: derSequence(derInteger(unhex('01')), derSequence()), text: '30050201013000' },
  ])('are written as X.690 says: $name', ({ der, text }) => {
    expect(hex(der)).toBe(text);
  });

  it.each([
    { length: 127, head: '047f' },
    { length: 128, head: '048180' },
    { length: 255, head: '0481ff' },
    { length: 256, head: '04820100' },
    { length: 65535, head: '0482ffff' },
  ])('of $length bytes are written with the shortest length and read again', ({ length, head }) => {
    const der = derValue(4, new Uint8Array(length));
    expect(hex(der.subarray(0, head.length / 2))).toBe(head);
    const reader = new DerReader(der);
    expect(reader.value(4).content).toHaveLength(length);
    reader.end();
  });

  it('longer than a certificate can need are refused', () => {
    expect(() => derValue(4, new Uint8Array(65536))).toThrow(failing('INVALID_ARGUMENT'));
  });

  it('hold any object identifier', () => {
    const oid = fc
      .tuple(fc.nat(2), fc.nat(39), fc.array(fc.nat(2 ** 31 - 1), { maxLength: 8 }))
      .map(([root, second, rest]) => [root, second, ...rest].join('.'));
    fc.assert(
      fc.property(oid, (dotted) => {
        expect(new DerReader(derOid(dotted)).oid()).toBe(dotted);
      }),
    );
  });

  it.each([
    { iso: '2049-12-31T23:59:59.000Z', tag: DER_TAG.utcTime, text: '491231235959Z' },
    { iso: '2050-01-01T00:00:00.000Z', tag: DER_TAG.generalizedTime, text: '20500101000000Z' },
    { iso: '1950-01-01T00:00:00.000Z', tag: DER_TAG.utcTime, text: '500101000000Z' },
    { iso: '9999-12-31T23:59:59.000Z', tag: DER_TAG.generalizedTime, text: '99991231235959Z' },
  ])('hold the time $iso', ({ iso, tag, text }) => {
    const der = derTime(new Date(iso));
    expect(der[0]).toBe(tag);
    expect(Buffer.from(der.subarray(2)).toString()).toBe(text);
    expect(new DerReader(der).time().toISOString()).toBe(iso);
  });

  it('hold no time outside of the years 1950 to 9999', () => {
    const refused = failing('INVALID_ARGUMENT');
    expect(() => derTime(new Date('1949-12-31T00:00:00Z'))).toThrow(refused);
    expect(() => derTime(new Date('+010000-01-01T00:00:00Z'))).toThrow(refused);
    expect(() => derTime(new Date(NaN))).toThrow(refused);
  });
});

describe('the reader refuses', () => {
  it.each([
    { what: 'nothing at all', text: '' },
    { what: 'a missing length', text: '30' },
    { what: 'content that ends too early', text: '300201' },
    { what: 'an indefinite length', text: '30800000' },
    { what: 'a length in a longer form than needed', text: '30810100' },
    { what: 'a two-byte length with a leading zero', text: `308200ff${'00'.repeat(255)}` },
    { what: 'a length of four bytes', text: '308400000001ff' },
    { what: 'a tag of several bytes', text: '3f8101020000' },
  ])('$what', ({ text }) => {
    expect(() => new DerReader(unhex(text)).any()).toThrow(malformed);
  });

  it('other types, left-over bytes, incomplete identifiers, half bytes and impossible dates', () => {
    expect(() => new DerReader(unhex('0400')).value(DER_TAG.sequence)).toThrow(malformed);
    expect(() => {
      new DerReader(unhex('0400')).end();
    }).toThrow(malformed);
    expect(() => new DerReader(unhex('0600')).oid()).toThrow(malformed);
    expect(() => new DerReader(unhex('06022b80')).oid()).toThrow(malformed);
    expect(() => new DerReader(derBitString(unhex('c8'), 3)).bitString()).toThrow(malformed);
    expect(() => new DerReader(unhex('0300')).bitString()).toThrow(malformed);
    const time = (text: string) => new DerReader(derValue(DER_TAG.generalizedTime, Buffer.from(text))).time();
    for (const text of [
      '20261322000000Z',
      '20261122250000Z',
      '20261122000000',
      '20261122000000+0100',
      '2026',
      '',
    ])
      expect(() => time(text)).toThrow(malformed);
  });

  it('any other bytes with INVALID_CERTIFICATE and no other error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (der) => {
        const reader = new DerReader(der);
        try {
          while (!reader.done) reader.any();
        } catch (error) {
          expect(isXftpError(error, 'INVALID_CERTIFICATE')).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});
