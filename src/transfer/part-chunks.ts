import { closeSync, constants, fstatSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs';

import { SecretBoxStream } from '../crypto/index.js';
import { XftpError } from '../protocol/index.js';
import { changeMode, newFileMode, PRIVATE_FILE_MODE } from './file-mode.js';
import { localFailure, newFileFailure } from './local-failure.js';

/** No link is followed: a part file is always a file of its own. Not every system has the flag. */
const NO_LINK = (constants as { readonly O_NOFOLLOW?: number }).O_NOFOLLOW ?? 0;
const OLD_OR_NEW = constants.O_RDWR | constants.O_CREAT | NO_LINK;
const NEW = OLD_OR_NEW | constants.O_EXCL;

/** A chunk out of its box, and its place in a part file. */
export interface ChunkToWrite {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** 24 bytes. */
  readonly nonce: Uint8Array;
  /** Length of the whole ciphertext, without tag, in bytes. */
  readonly cipherLength: number;
  /** Where the chunk starts in the encrypted file, in bytes. */
  readonly offset: number;
  readonly chunk: Uint8Array;
  /** Where the content starts in the decrypted file, in bytes: the part file starts there. */
  readonly contentOffset: number;
  readonly path: string;
  /** Whether the part file must not be there yet. */
  readonly create: boolean;
}

/**
 * Decrypts a chunk in place and writes it at its place in a part file; the tag of the whole is written as it is.
 * Synchronous: it runs in a worker thread.
 *
 * @throws XftpError of the file system
 */
export function writeChunk(request: ChunkToWrite): void {
  const { key, nonce, cipherLength, offset, chunk, contentOffset, path, create } = request;
  const skipped = Math.min(chunk.length, Math.max(0, contentOffset - offset));
  const start = offset + skipped;
  const stored = chunk.subarray(skipped);
  new SecretBoxStream(key, nonce).xor(stored.subarray(0, Math.max(0, cipherLength - start)), start);
  withFile(path, create ? NEW : OLD_OR_NEW, (file) => {
    for (let done = 0; done < stored.length;)
      done += writeSync(file, stored, done, stored.length - done, start - contentOffset + done);
  });
}

/**
 * Cuts a part file to its content, gives it the mode of a new file and flushes it to disk. May be repeated.
 * Synchronous: it runs in a worker thread.
 *
 * @throws XftpError of the file system, FILE_CORRUPT when the content is not all there
 */
export function cutToContent(path: string, contentLength: number): void {
  withFile(path, constants.O_RDWR | NO_LINK, (file) => {
    if (fstatSync(file).size < contentLength)
      throw new XftpError('FILE_CORRUPT', `${path} was cut off after it was verified.`);
    ftruncateSync(file, contentLength);
    changeMode(file, newFileMode(path));
    fsyncSync(file);
  });
}

function withFile(path: string, flags: number, work: (file: number) => void): void {
  try {
    const file = openFile(path, flags);
    try {
      work(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw localFailure(error, path);
  }
}

function openFile(path: string, flags: number): number {
  try {
    return openSync(path, flags, PRIVATE_FILE_MODE);
  } catch (error) {
    // Where the file would be made, it is the folder that does not take it.
    throw (flags & constants.O_CREAT) === 0 ? localFailure(error, path) : newFileFailure(error, path);
  }
}
