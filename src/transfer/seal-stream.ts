import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';

import { createDigest, type Poly1305, SecretBoxStream, sha256, TAG_LENGTH } from '../crypto/index.js';
import {
  encodeFileHeader,
  encodePlaintextPrefix,
  humanSize,
  payloadLength,
  planChunkSizes,
  XftpError,
} from '../protocol/index.js';
import { localFailure } from './local-failure.js';

const PADDING_BYTE = 0x23; // '#'

/** What to encrypt, and how. */
export interface SealRequest {
  /** The source's path. */
  readonly path: string;
  /** File name for the recipient, at most 255 bytes of UTF-8. */
  readonly name: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** 24 bytes. */
  readonly nonce: Uint8Array;
  /** Largest source that is taken, in bytes. */
  readonly maxSize: number;
}

/**
 * Encrypts a source into chunks, one after another in a single pass, and computes the digests on the way
 * (protocol reference, section 7). Synchronous: it runs in a worker thread.
 */
export class SealStream {
  /** Size of the source, in bytes. */
  readonly sourceSize: number;
  /** Sizes of the chunks, in bytes. */
  readonly chunkSizes: readonly number[];
  readonly #path: string;
  readonly #file: number;
  readonly #stats: Stats;
  readonly #prefix: Uint8Array;
  readonly #box: SecretBoxStream;
  readonly #tag: Poly1305;
  readonly #digest = createDigest('sha512');
  readonly #cipherLength: number;
  #offset = 0;
  #nextChunk = 0;

  /** @throws XftpError SOURCE_MISSING, NO_PERMISSION, INVALID_ARGUMENT or FILE_TOO_LARGE */
  constructor(request: SealRequest) {
    this.#path = request.path;
    this.#file = openSource(request.path);
    try {
      this.#stats = fstatSync(this.#file);
      checkSource(this.#stats, request);
      this.sourceSize = this.#stats.size;
      const header = { name: request.name };
      this.#prefix = encodePlaintextPrefix(header, this.sourceSize);
      this.chunkSizes = planChunkSizes(payloadLength(encodeFileHeader(header), this.sourceSize));
      this.#cipherLength = this.chunkSizes.reduce((sum, size) => sum + size, 0) - TAG_LENGTH;
      this.#box = new SecretBoxStream(request.key, request.nonce);
      this.#tag = this.#box.tag();
    } catch (error) {
      closeSync(this.#file);
      throw localFailure(error, request.path);
    }
  }

  /**
   * Writes the next chunk into the start of `buffer` and returns its SHA-256.
   *
   * @throws XftpError SOURCE_CHANGED when the source is no longer what it was at the start
   */
  next(buffer: Uint8Array): { readonly size: number; readonly digest: Uint8Array } {
    const size = this.chunkSizes[this.#nextChunk];
    if (size === undefined)
      throw new XftpError('INVALID_ARGUMENT', 'All chunks of the file are encrypted already.');
    const chunk = buffer.subarray(0, size);
    const cipher = chunk.subarray(0, Math.min(size, this.#cipherLength - this.#offset));
    this.#fillPlaintext(cipher);
    this.#box.xor(cipher, this.#offset);
    this.#tag.update(cipher);
    if (cipher.length < size) {
      chunk.set(this.#tag.finish(), cipher.length);
      this.#checkUnchanged();
    }
    this.#digest.update(chunk);
    this.#offset += size;
    this.#nextChunk += 1;
    return { size, digest: sha256(chunk) };
  }

  /** SHA-512 of all chunks, after the last one. */
  finish(): Uint8Array {
    return this.#digest.digest();
  }

  /** Closes the source. */
  close(): void {
    closeSync(this.#file);
  }

  /** Length prefix and header, content, padding: whatever of them lies at the current offset. */
  #fillPlaintext(plain: Uint8Array): void {
    let filled = 0;
    if (this.#offset < this.#prefix.length) {
      const part = this.#prefix.subarray(this.#offset, this.#offset + plain.length);
      plain.set(part);
      filled = part.length;
    }
    const contentOffset = this.#offset + filled - this.#prefix.length;
    const contentLength = Math.max(0, Math.min(plain.length - filled, this.sourceSize - contentOffset));
    this.#read(plain.subarray(filled, filled + contentLength), contentOffset);
    plain.fill(PADDING_BYTE, filled + contentLength);
  }

  #read(into: Uint8Array, position: number): void {
    let done = 0;
    while (done < into.length) {
      let count: number;
      try {
        count = readSync(this.#file, into, done, into.length - done, position + done);
      } catch (error) {
        throw localFailure(error, this.#path);
      }
      if (count === 0) throw this.#changed();
      done += count;
    }
  }

  #checkUnchanged(): void {
    const now = fstatSync(this.#file);
    if (now.size !== this.#stats.size || now.mtimeMs !== this.#stats.mtimeMs) throw this.#changed();
  }

  #changed(): XftpError {
    return new XftpError(
      'SOURCE_CHANGED',
      `${this.#path} changed while it was being sent: send it again when nothing writes to it.`,
    );
  }
}

/** Opens without waiting, so that a named pipe cannot hang the program. */
function openSource(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw localFailure(error, path);
  }
}

function checkSource(stats: Stats, { path, maxSize }: SealRequest): void {
  if (stats.isDirectory())
    throw new XftpError(
      'INVALID_ARGUMENT',
      `${path} is a folder: pack it into one file first (zip, tar) and send that.`,
    );
  if (!stats.isFile())
    throw new XftpError('INVALID_ARGUMENT', `${path} is not a regular file and cannot be sent.`);
  if (stats.size > maxSize)
    throw new XftpError(
      'FILE_TOO_LARGE',
      `${path} has ${humanSize(stats.size)}, more than the limit of ${humanSize(maxSize)}: raise the limit (--max-size) to send it.`,
    );
}
