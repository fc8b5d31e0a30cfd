import { decodeUtf8, XftpError } from '../protocol/index.js';
import { DER_TAG } from './der-writer.js';

/** One DER value; both arrays are views of the input. */
export interface DerValue {
  readonly tag: number;
  /** The value's content. */
  readonly content: Uint8Array;
  /** Tag, length and content. */
  readonly whole: Uint8Array;
}

/**
 * Reads DER values one after the other (ITU-T X.690). Lengths must be in the shortest form and within the input.
 * Every method throws XftpError INVALID_CERTIFICATE when the bytes do not hold what it reads.
 */
export class DerReader {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Whether all bytes have been read. */
  get done(): boolean {
    return this.#offset >= this.#bytes.length;
  }

  /** The tag of the next value, or undefined at the end. */
  get nextTag(): number | undefined {
    return this.#bytes[this.#offset];
  }

  /** The next value, which must have the given tag. */
  value(tag: number): DerValue {
    const next = this.any();
    if (next.tag !== tag) throw malformed('a value has another type than expected');
    return next;
  }

  /** The next value, whatever it is. */
  any(): DerValue {
    const start = this.#offset;
    const tag = this.#byte();
    if ((tag & 0x1f) === 0x1f) throw malformed('a tag is too long');
    const length = this.#length();
    if (length > this.#bytes.length - this.#offset) throw malformed('it ends too early');
    const contentStart = this.#offset;
    this.#offset += length;
    return {
      tag,
      content: this.#bytes.subarray(contentStart, this.#offset),
      whole: this.#bytes.subarray(start, this.#offset),
    };
  }

  /** The next value if it has the given tag, else undefined and nothing is read. */
  optional(tag: number): DerValue | undefined {
    return this.nextTag === tag ? this.any() : undefined;
  }

  /** A reader of what is inside the next value, which must have the given tag. */
  inside(tag: number = DER_TAG.sequence): DerReader {
    return new DerReader(this.value(tag).content);
  }

  /** An OBJECT IDENTIFIER in dotted form. */
  oid(): string {
    return dottedOid(this.value(DER_TAG.oid).content);
  }

  /** The bytes of a BIT STRING that has no unused bits. */
  bitString(): Uint8Array {
    const { content } = this.value(DER_TAG.bitString);
    if (content[0] !== 0) throw malformed('a bit string does not consist of whole bytes');
    return content.subarray(1);
  }

  /** A UTCTime or GeneralizedTime. */
  time(): Date {
    const { tag, content } = this.any();
    return parseTime(tag, decodeUtf8(content));
  }

  /** Asserts that nothing is left. */
  end(): void {
    if (!this.done) throw malformed('there are bytes left over');
  }

  #byte(): number {
    const byte = this.#bytes[this.#offset++];
    if (byte === undefined) throw malformed('it ends too early');
    return byte;
  }

  #length(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0 || count > 3) throw malformed('a length is in no form that DER knows');
    let length = 0;
    for (let index = 0; index < count; index++) length = length * 256 + this.#byte();
    if (length < 0x80 || length < 256 ** (count - 1))
      throw malformed('a length is longer than it needs to be');
    return length;
  }
}

function dottedOid(content: Uint8Array): string {
  const numbers: number[] = [];
  let number = 0;
  let unfinished = true;
  for (const byte of content) {
    number = number * 128 + (byte & 0x7f);
    unfinished = byte >= 0x80;
    if (unfinished) continue;
    numbers.push(number);
    number = 0;
  }
  const [first, ...rest] = numbers;
  if (first === undefined || unfinished) throw malformed('an object identifier is incomplete');
  const root = Math.min(Math.floor(first / 40), 2);
  return [root, first - root * 40, ...rest].join('.');
}

const TIME_PATTERN = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;

function parseTime(tag: number, text: string): Date {
  if (tag !== DER_TAG.utcTime && tag !== DER_TAG.generalizedTime) throw malformed('a date is missing');
  const century = tag === DER_TAG.generalizedTime ? '' : Number(text.slice(0, 2)) < 50 ? '20' : '19';
  const match = TIME_PATTERN.exec(century + text);
  const [, year = '', month = '', day = '', hour = '', minute = '', second = ''] = match ?? [];
  const time = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(time.getTime())) throw malformed('a date cannot be read');
  return time;
}

function malformed(reason: string): XftpError {
  return new XftpError('INVALID_CERTIFICATE', `This is not a valid certificate: ${reason}.`);
}
