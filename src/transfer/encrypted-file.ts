import { TAG_LENGTH } from '../crypto/index.js';
import { XftpError } from '../protocol/index.js';

/** How a file is encrypted and cut. */
export interface EncryptedFile {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** 24 bytes. */
  readonly nonce: Uint8Array;
  /** Sizes of the chunks, in bytes. */
  readonly chunkSizes: readonly number[];
}

/** A part of an encrypted file, in bytes. */
export interface ByteRange {
  readonly offset: number;
  readonly size: number;
}

/**
 * Length of a file's ciphertext, which its tag follows, in bytes.
 *
 * @throws XftpError INVALID_DESCRIPTION when there is not even room for the tag
 */
export function cipherLengthOf(chunkSizes: readonly number[]): number {
  const length = chunkSizes.reduce((sum, size) => sum + size, 0) - TAG_LENGTH;
  if (length < 0) throw new XftpError('INVALID_DESCRIPTION', 'The file is too small to be encrypted.');
  return length;
}

/**
 * Where a chunk lies in its encrypted file.
 *
 * @param number from 1
 * @throws XftpError INVALID_ARGUMENT when there is no such chunk
 */
export function chunkRange(chunkSizes: readonly number[], number: number): ByteRange {
  const size = chunkSizes[number - 1];
  if (size === undefined) throw new XftpError('INVALID_ARGUMENT', `The file has no chunk ${String(number)}.`);
  return { offset: chunkSizes.slice(0, number - 1).reduce((sum, before) => sum + before, 0), size };
}
