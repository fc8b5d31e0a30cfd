import { closeSync, fstatSync } from 'node:fs';

import { SecretBoxStream, sha256 } from '../crypto/index.js';
import { localFailure } from './local-failure.js';
import { fillPlaintext } from './plaintext.js';
import type { PreparedSource } from './prepare-source.js';
import { modifiedMs, openSource, sourceChanged } from './source-file.js';

/** A chunk of a source that is to be made again. */
export interface ChunkToSeal {
  readonly source: Omit<PreparedSource, 'chunkSizes'>;
  /** Length of the whole ciphertext, without tag, in bytes. */
  readonly cipherLength: number;
  /** Where the chunk starts in the encrypted file, in bytes. */
  readonly offset: number;
  /** Memory for it, as long as it is. */
  readonly chunk: Uint8Array;
}

/**
 * Makes a chunk again and returns its SHA-256. Synchronous: it runs in a worker thread.
 *
 * @throws XftpError SOURCE_CHANGED when the source is no longer what it was, SOURCE_MISSING or NO_PERMISSION
 */
export function sealChunkAgain({ source, cipherLength, offset, chunk }: ChunkToSeal): Uint8Array {
  const { path, prefix, sourceSize: contentLength, key, nonce, tag } = source;
  const cipher = chunk.subarray(0, Math.max(0, cipherLength - offset));
  const file = openSource(path);
  try {
    checkUnchanged(file, source);
    if (!fillPlaintext(cipher, offset, { prefix, file, contentLength })) throw sourceChanged(path);
    checkUnchanged(file, source);
  } catch (error) {
    throw localFailure(error, path);
  } finally {
    closeSync(file);
  }
  new SecretBoxStream(key, nonce).xor(cipher, offset);
  const tagStart = offset + cipher.length - cipherLength;
  if (cipher.length < chunk.length)
    chunk.set(tag.subarray(tagStart, tagStart + chunk.length - cipher.length), cipher.length);
  return sha256(chunk);
}

function checkUnchanged(file: number, source: ChunkToSeal['source']): void {
  const stats = fstatSync(file);
  if (!stats.isFile() || stats.size !== source.sourceSize || modifiedMs(stats) !== source.modifiedMs)
    throw sourceChanged(source.path);
}
