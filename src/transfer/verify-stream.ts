import { closeSync, openSync } from 'node:fs';

import { constantTimeEqual, createDigest, SecretBoxStream } from '../crypto/index.js';
import { XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';
import { cipherLengthOf, type EncryptedFile } from './encrypted-file.js';
import { FileVerifier } from './file-verifier.js';
import { localFailure } from './local-failure.js';
import { PIECE_SIZE } from './pieces.js';
import { fillPlaintext } from './plaintext.js';

/** A part file and what it is verified against. */
export interface VerifyRequest extends EncryptedFile {
  readonly partPath: string;
  /** What precedes the content. */
  readonly prefix: Uint8Array;
  /** SHA-256 of each chunk. */
  readonly chunkDigests: readonly Uint8Array[];
  /** SHA-512 of all chunks. */
  readonly digest: Uint8Array;
}

/**
 * Reads a part file once, in order, and encrypts it again to compare it with what was sent. Synchronous: it runs in a
 * worker thread.
 */
export class VerifyStream {
  readonly #request: VerifyRequest;
  readonly #cipherLength: number;
  readonly #box: SecretBoxStream;
  readonly #whole: FileVerifier;
  readonly #piece = new Uint8Array(PIECE_SIZE);
  /** Undefined if there is no part file. */
  readonly #file: number | undefined;
  #next = 0;
  #offset = 0;
  #intact = true;

  /** Throws XftpError. */
  constructor(request: VerifyRequest) {
    this.#request = request;
    this.#cipherLength = cipherLengthOf(request.chunkSizes);
    this.#box = new SecretBoxStream(request.key, request.nonce);
    this.#whole = new FileVerifier(this.#box, this.#cipherLength);
    this.#file = openPart(request.partPath);
  }

  /** Whether the next chunk is in the part file as it was sent. Throws XftpError when the file cannot be read. */
  next(): boolean {
    const [size, sent] = [this.#request.chunkSizes[this.#next], this.#request.chunkDigests[this.#next]];
    if (size === undefined || sent === undefined)
      throw new XftpError('INVALID_ARGUMENT', 'All chunks of the file are verified already.');
    const digest = this.#digestOf(this.#offset, size);
    const intact = digest !== undefined && constantTimeEqual(digest, sent);
    this.#intact &&= intact;
    this.#offset += size;
    this.#next += 1;
    return intact;
  }

  /**
   * Checks digest and tag of the whole, when every chunk was intact.
   *
   * @throws XftpError FILE_CORRUPT
   */
  finish(): void {
    if (!this.#intact || this.#next < this.#request.chunkSizes.length)
      throw new XftpError('INVALID_ARGUMENT', 'Not all chunks of the file are verified.');
    this.#whole.finish(this.#request.digest);
  }

  /** Closes the part file. */
  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
  }

  /** SHA-256 of a part of the encrypted file; undefined if the part file does not reach so far. */
  #digestOf(offset: number, size: number): Uint8Array | undefined {
    const digest = createDigest('sha256');
    for (let done = 0; done < size; done += PIECE_SIZE) {
      const piece = this.#piece.subarray(0, Math.min(PIECE_SIZE, size - done));
      if (!this.#encrypt(piece, offset + done)) return undefined;
      digest.update(piece);
      // Behind a torn chunk the whole cannot be right any more.
      if (this.#intact) this.#whole.update(piece);
    }
    return digest.digest();
  }

  #encrypt(piece: Uint8Array, offset: number): boolean {
    const { partPath, prefix } = this.#request;
    const file = this.#file;
    if (file === undefined) return false;
    try {
      if (!fillPlaintext(piece, offset, { prefix, file, contentLength: Infinity })) return false;
    } catch (error) {
      throw localFailure(error, partPath);
    }
    this.#box.xor(piece.subarray(0, Math.max(0, this.#cipherLength - offset)), offset);
    return true;
  }
}

function openPart(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw localFailure(error, path);
  }
}
