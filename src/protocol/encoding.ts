import { concatBytes, decodeUtf8Strict, encodeUtf8 } from './bytes.js';
import { XftpError } from './failure.js';

/** Most bytes in a `short`, and most items in a list: their length is one byte. */
export const MAX_SHORT = 255;
/** Most bytes in a `large`: its length is a u16. */
export const MAX_LARGE = 65535;

const ABSENT = 0x30; // '0'
const PRESENT = 0x31; // '1'

/** Writes the protocol's binary encoding (protocol reference, section 0.1). */
export class ByteWriter {
  readonly #parts: Uint8Array[] = [];

  /** The bytes written so far, joined. */
  finish(): Uint8Array {
    return concatBytes(...this.#parts);
  }

  /** Bytes as they are, without a length. */
  raw(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    return this;
  }

  /** ASCII text as it is, without a length. */
  ascii(text: string): this {
    return this.raw(encodeUtf8(text));
  }

  u8(value: number): this {
    checkRange(value, 0xff);
    return this.raw(Uint8Array.of(value));
  }

  u16(value: number): this {
    checkRange(value, 0xffff);
    const bytes = new Uint8Array(2);
    new DataView(bytes.buffer).setUint16(0, value);
    return this.raw(bytes);
  }

  u32(value: number): this {
    checkRange(value, 0xffffffff);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value);
    return this.raw(bytes);
  }

  /** A signed 64-bit integer; `value` is a safe integer. */
  i64(value: number): this {
    if (!Number.isSafeInteger(value)) throw outOfRange(value);
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigInt64(0, BigInt(value));
    return this.raw(bytes);
  }

  /** At most 255 bytes behind a one-byte length. */
  short(bytes: Uint8Array): this {
    return this.u8(bytes.length).raw(bytes);
  }

  /** At most 65535 bytes behind a u16 length. */
  large(bytes: Uint8Array): this {
    return this.u16(bytes.length).raw(bytes);
  }

  /** UTF-8 text of at most 255 bytes behind a one-byte length. */
  text(text: string): this {
    return this.short(encodeUtf8(text));
  }

  /** `0`, or `1` and what `write` adds for the value. */
  maybe<T>(value: T | undefined, write: (value: T) => void): this {
    if (value === undefined) return this.u8(ABSENT);
    this.u8(PRESENT);
    write(value);
    return this;
  }

  /** A count byte and the items back to back. */
  list<T>(items: readonly T[], write: (item: T) => void): this {
    this.u8(items.length);
    for (const item of items) write(item);
    return this;
  }
}

/**
 * Reads the protocol's binary encoding (protocol reference, section 0.1).
 * Every method throws XftpError INVALID_ENCODING when the bytes do not hold what it reads.
 * Byte arrays that it returns are views of the input.
 */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  /** Exactly `length` bytes. */
  raw(length: number): Uint8Array {
    const start = this.#advance(length);
    return this.#bytes.subarray(start, start + length);
  }

  /** All bytes that are left. */
  tail(): Uint8Array {
    return this.raw(this.remaining);
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4));
  }

  /** A signed 64-bit integer, which must be a safe integer. */
  i64(): number {
    const value = Number(this.#view.getBigInt64(this.#advance(8)));
    if (!Number.isSafeInteger(value)) throw outOfRange(value);
    return value;
  }

  short(): Uint8Array {
    return this.raw(this.u8());
  }

  large(): Uint8Array {
    return this.raw(this.u16());
  }

  /** UTF-8 text behind a one-byte length; invalid UTF-8 is an error. */
  text(): string {
    const text = decodeUtf8Strict(this.short());
    if (text === undefined) throw new XftpError('INVALID_ENCODING', 'A text is not valid UTF-8.');
    return text;
  }

  maybe<T>(read: () => T): T | undefined {
    const marker = this.u8();
    if (marker === ABSENT) return undefined;
    if (marker === PRESENT) return read();
    throw new XftpError('INVALID_ENCODING', 'An optional value begins with neither 0 nor 1.');
  }

  list<T>(read: () => T): T[] {
    return Array.from({ length: this.u8() }, read);
  }

  nonEmptyList<T>(read: () => T): T[] {
    const items = this.list(read);
    if (items.length === 0) throw new XftpError('INVALID_ENCODING', 'A list that must have items is empty.');
    return items;
  }

  /** Asserts that nothing is left. */
  end(): void {
    if (this.remaining > 0)
      throw new XftpError('INVALID_ENCODING', `${String(this.remaining)} bytes are left over at the end.`);
  }

  /** Steps over `length` bytes and returns where they start. */
  #advance(length: number): number {
    if (length > this.remaining)
      throw new XftpError(
        'INVALID_ENCODING',
        `The data end too early: ${String(length)} bytes wanted, ${String(this.remaining)} left.`,
      );
    const start = this.#offset;
    this.#offset += length;
    return start;
  }
}

function checkRange(value: number, max: number): void {
  if (!Number.isInteger(value) || value < 0 || value > max) throw outOfRange(value);
}

function outOfRange(value: number): XftpError {
  return new XftpError('INVALID_ENCODING', `The number ${String(value)} does not fit its field.`);
}
