import { deflateSync, Inflate } from 'fflate';
import { concatBytes } from './bytes.js';
import { XftpError } from './failure.js';

/** Input is inflated in pieces of this many bytes: DEFLATE makes at most 1032 times as much of one. */
const PIECE_SIZE = 4096;

/**
 * Most pieces in a row that may give nothing. A stored block of 64 KiB gives nothing before its end; more than that
 * is junk behind the end of the stream, which the library would collect in quadratic time.
 */
const MAX_IDLE_PIECES = 32;

/** Raw DEFLATE (RFC 1951, without a header), as small as can be. */
export function deflateRaw(bytes: Uint8Array): Uint8Array {
  return deflateSync(bytes, { level: 9 });
}

/**
 * Undoes raw DEFLATE. Stops as soon as the output exceeds `limit` bytes, so that a small input that stands for
 * gigabytes takes little time and memory.
 *
 * @throws XftpError INVALID_ENCODING when the input is damaged or incomplete, or its output too large.
 */
export function inflateRaw(bytes: Uint8Array, limit: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let length = 0;
  const stream = new Inflate((part) => {
    if (part.length === 0) return;
    parts.push(part);
    length += part.length;
  });
  let idlePieces = 0;
  for (let start = 0; start < bytes.length; start += PIECE_SIZE) {
    const before = length;
    inflatePiece(stream, bytes.subarray(start, start + PIECE_SIZE), start + PIECE_SIZE >= bytes.length);
    idlePieces = length === before ? idlePieces + 1 : 0;
    if (length > limit || idlePieces > MAX_IDLE_PIECES)
      throw new XftpError('INVALID_ENCODING', 'Compressed data hold too much.');
  }
  return concatBytes(...parts);
}

function inflatePiece(stream: Inflate, piece: Uint8Array, last: boolean): void {
  try {
    stream.push(piece, last);
  } catch (cause) {
    throw new XftpError('INVALID_ENCODING', 'Compressed data are damaged or incomplete.', { cause });
  }
}
