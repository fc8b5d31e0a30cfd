import { decodeUtf8, encodeUtf8 } from './bytes.js';
import { ByteReader, ByteWriter, MAX_SHORT } from './encoding.js';
import { XftpError } from './failure.js';

/** Length of the i64 before the header, in bytes. */
export const LENGTH_PREFIX_SIZE = 8;

/** The header is read from at most this many bytes behind the length prefix, as the reference does. */
export const MAX_HEADER_LENGTH = 1024;

/** Length of the Poly1305 tag at the end of the encrypted file, in bytes. */
export const FILE_TAG_SIZE = 16;

/** Most bytes of a file name: the header has one byte for their number. */
export const MAX_NAME_LENGTH = MAX_SHORT;

/** What the sender says about a file, in front of its content (protocol reference, section 7.1). */
export interface FileHeader {
  /** The file's name as the sender gave it. Not safe as a path. Redirects may have an empty one. */
  readonly name: string;
  /** Unused so far: reference programs send none. */
  readonly extra?: string;
}

/** The start of a decrypted file, taken apart. */
export interface PlaintextPrefix {
  readonly header: FileHeader;
  /** Where the content starts in the decrypted file, in bytes. */
  readonly contentOffset: number;
  /** Length of the content in bytes; padding follows it. */
  readonly contentLength: number;
}

/**
 * The header's bytes.
 *
 * @throws XftpError INVALID_ARGUMENT when the name (see `fitFileName`) or the extra text has over 255 UTF-8 bytes.
 */
export function encodeFileHeader(header: FileHeader): Uint8Array {
  const name = encodeUtf8(header.name);
  const extra = header.extra === undefined ? undefined : encodeUtf8(header.extra);
  if (name.length > MAX_NAME_LENGTH)
    throw new XftpError('INVALID_ARGUMENT', 'The file name is longer than 255 bytes: shorten it.');
  if (extra !== undefined && extra.length > MAX_SHORT)
    throw new XftpError('INVALID_ARGUMENT', 'The extra text of the file header is longer than 255 bytes.');
  const writer = new ByteWriter().short(name);
  return writer.maybe(extra, (bytes) => writer.short(bytes)).finish();
}

/**
 * Bytes to be cut into chunks, without padding: length prefix, header, content and tag.
 *
 * @param headerBytes the encoded header (`encodeFileHeader`).
 * @param contentLength length of the file in bytes.
 */
export function payloadLength(headerBytes: Uint8Array, contentLength: number): number {
  return LENGTH_PREFIX_SIZE + headerBytes.length + contentLength + FILE_TAG_SIZE;
}

/**
 * What is encrypted before the content: the length of header and content, then the header.
 *
 * @throws XftpError INVALID_ARGUMENT for a length that is no safe integer of at least 0, or a header that is too long.
 */
export function encodePlaintextPrefix(header: FileHeader, contentLength: number): Uint8Array {
  const headerBytes = encodeFileHeader(header);
  const length = headerBytes.length + contentLength;
  if (!Number.isSafeInteger(length) || contentLength < 0)
    throw new XftpError('INVALID_ARGUMENT', `A file cannot have ${String(contentLength)} bytes.`);
  return new ByteWriter().i64(length).raw(headerBytes).finish();
}

/**
 * Reads the start of a decrypted file. Invalid UTF-8 in its texts is replaced: older senders wrote other encodings.
 *
 * @param bytes the first 8 + 1024 bytes of the decrypted file, or all if it has fewer; more are ignored.
 * @throws XftpError FILE_CORRUPT
 */
export function decodePlaintextPrefix(bytes: Uint8Array): PlaintextPrefix {
  const reader = new ByteReader(bytes.subarray(0, LENGTH_PREFIX_SIZE + MAX_HEADER_LENGTH));
  const available = reader.remaining;
  const { length, header } = readPrefix(reader);
  const contentOffset = available - reader.remaining;
  const contentLength = length - (contentOffset - LENGTH_PREFIX_SIZE);
  if (contentLength < 0)
    throw new XftpError('FILE_CORRUPT', 'The decrypted file is damaged: its length field is too small.');
  return { header, contentOffset, contentLength };
}

function readPrefix(reader: ByteReader): { length: number; header: FileHeader } {
  try {
    const length = reader.i64();
    const name = decodeUtf8(reader.short());
    const extra = reader.maybe(() => decodeUtf8(reader.short()));
    return { length, header: extra === undefined ? { name } : { name, extra } };
  } catch (cause) {
    throw new XftpError('FILE_CORRUPT', 'The decrypted file is damaged: its header cannot be read.', {
      cause,
    });
  }
}

/**
 * Shortens a name to 255 UTF-8 bytes between code points, and keeps its extension if that leaves
 * room for at least one code point before it.
 */
export function fitFileName(name: string): string {
  if (utf8Length(name) <= MAX_NAME_LENGTH) return name;
  const dot = name.lastIndexOf('.');
  const extension = dot > 0 ? name.slice(dot) : '';
  const stem = cutToBytes(name.slice(0, dot > 0 ? dot : undefined), MAX_NAME_LENGTH - utf8Length(extension));
  return stem === '' ? cutToBytes(name, MAX_NAME_LENGTH) : stem + extension;
}

/** The longest start of a text that has at most `limit` UTF-8 bytes. */
export function cutToBytes(text: string, limit: number): string {
  let length = 0;
  let end = 0;
  for (const codePoint of text) {
    length += utf8Length(codePoint);
    if (length > limit) break;
    end += codePoint.length;
  }
  return text.slice(0, end);
}

function utf8Length(text: string): number {
  return encodeUtf8(text).length;
}
