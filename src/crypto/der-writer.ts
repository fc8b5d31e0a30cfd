import { concatBytes, encodeUtf8, XftpError } from '../protocol/index.js';

// Just enough DER (ITU-T X.690) to write certificates and signed keys.

/** Tags of the DER values used here. */
export const DER_TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Tag of a constructed, context-specific value, such as the `[3]` in front of the extensions of a certificate. */
export function contextTag(number: number): number {
  return 0xa0 | number;
}

/** A value of any tag, with the joined parts as its content: at most 65535 bytes. */
export function derValue(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = concatBytes(...parts);
  return concatBytes(Uint8Array.of(tag, ...derLength(content.length)), content);
}

/** SEQUENCE of values. */
export function derSequence(...values: readonly Uint8Array[]): Uint8Array {
  return derValue(DER_TAG.sequence, ...values);
}

/** INTEGER of a positive number given as big-endian bytes. */
export function derInteger(bytes: Uint8Array): Uint8Array {
  const start = bytes.findIndex((byte) => byte !== 0);
  const digits = start < 0 ? Uint8Array.of(0) : bytes.subarray(start);
  const sign = (digits[0] ?? 0) >= 0x80 ? Uint8Array.of(0) : new Uint8Array();
  return derValue(DER_TAG.integer, sign, digits);
}

/** OBJECT IDENTIFIER from its dotted form, such as `2.5.29.19`. */
export function derOid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return derValue(DER_TAG.oid, Uint8Array.from([first * 40 + second, ...rest].flatMap(base128)));
}

/** BIT STRING; `unusedBits` of the last byte do not count. */
export function derBitString(bytes: Uint8Array, unusedBits = 0): Uint8Array {
  return derValue(DER_TAG.bitString, Uint8Array.of(unusedBits), bytes);
}

/** OCTET STRING. */
export function derOctetString(bytes: Uint8Array): Uint8Array {
  return derValue(DER_TAG.octetString, bytes);
}

/** UTF8String. */
export function derUtf8String(text: string): Uint8Array {
  return derValue(DER_TAG.utf8String, encodeUtf8(text));
}

/** BOOLEAN TRUE. */
export function derTrue(): Uint8Array {
  return derValue(DER_TAG.boolean, Uint8Array.of(0xff));
}

/**
 * A time, cut to seconds: UTCTime until 2049, GeneralizedTime from 2050 on (RFC 5280, section 4.1.2.5).
 */
export function derTime(time: Date): Uint8Array {
  const year = time.getUTCFullYear();
  if (!(year >= 1950 && year <= 9999))
    throw new XftpError('INVALID_ARGUMENT', 'A date is outside of what a certificate can hold.');
  const digits = `${time.toISOString().slice(0, 19).replace(/\D/g, '')}Z`;
  return year < 2050
    ? derValue(DER_TAG.utcTime, encodeUtf8(digits.slice(2)))
    : derValue(DER_TAG.generalizedTime, encodeUtf8(digits));
}

function derLength(length: number): number[] {
  if (length < 0x80) return [length];
  if (length < 0x100) return [0x81, length];
  if (length < 0x10000) return [0x82, length >> 8, length & 0xff];
  throw new XftpError('INVALID_ARGUMENT', 'A value is too long for a certificate.');
}

/** Base 128, most significant digit first, the top bit set on all but the last. */
function base128(number: number): number[] {
  const digits = [number & 0x7f];
  for (let rest = Math.floor(number / 128); rest > 0; rest = Math.floor(rest / 128))
    digits.unshift(0x80 | (rest & 0x7f));
  return digits;
}
