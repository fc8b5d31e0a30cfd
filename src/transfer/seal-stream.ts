import { closeSync, fstatSync, type Stats } from 'node:fs';

import { createDigest, type Poly1305, SecretBoxStream, sha256 } from '../crypto/index.js';
import {
  encodeFileHeader,
  encodePlaintextPrefix,
  humanSize,
  payloadLength,
  planChunkSizes,
  planSmallChunkSizes,
  singleChunkSize,
  XftpError,
} from '../protocol/index.js';
import { cipherLengthOf } from './encrypted-file.js';
import { localFailure } from './local-failure.js';
import { fillPlaintext } from './plaintext.js';
import { checkSizeIsTold, checkSource, modifiedMs, openSource, sourceChanged } from './source-file.js';

/**
 * How a file is cut: as any file, in small chunks for links that break often, or as one chunk, as redirects are (protocol
 * reference, section 6).
 */
export type ChunkPlan = 'normal' | 'small' | 'single';

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
  /** `normal` unless given. */
  readonly plan?: ChunkPlan;
}

/**
 * Encrypts a source into chunks, one after another in a single pass, and computes the digests on the way
 * (protocol reference, section 7). Synchronous: it runs in a worker thread.
 */
export class SealStream {
  /** Size of the source, in bytes. */
  readonly sourceSize: number;
  /** When the source was last modified: whole milliseconds since 1970. */
  readonly modifiedMs: number;
  /** What is encrypted before the content: length prefix and header. */
  readonly prefix: Uint8Array;
  /** Sizes of the chunks, in bytes. */
  readonly chunkSizes: readonly number[];
  readonly #path: string;
  readonly #file: number;
  readonly #stats: Stats;
  readonly #box: SecretBoxStream;
  readonly #poly1305: Poly1305;
  readonly #digest = createDigest('sha512');
  readonly #cipherLength: number;
  #offset = 0;
  #nextChunk = 0;
  #tag: Uint8Array = new Uint8Array();

  /** @throws XftpError SOURCE_MISSING, NO_PERMISSION, INVALID_ARGUMENT or FILE_TOO_LARGE */
  constructor(request: SealRequest) {
    this.#path = request.path;
    this.#file = openSource(request.path);
    try {
      this.#stats = fstatSync(this.#file);
      checkSource(this.#stats, request);
      checkSizeIsTold(this.#stats, this.#file, request.path);
      this.sourceSize = this.#stats.size;
      this.modifiedMs = modifiedMs(this.#stats);
      const header = { name: request.name };
      this.prefix = encodePlaintextPrefix(header, this.sourceSize);
      const payload = payloadLength(encodeFileHeader(header), this.sourceSize);
      this.chunkSizes = planChunks(payload, request.plan ?? 'normal');
      this.#cipherLength = cipherLengthOf(this.chunkSizes);
      this.#box = new SecretBoxStream(request.key, request.nonce);
      this.#poly1305 = this.#box.tag();
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
    this.#poly1305.update(cipher);
    // No planned chunk is so small that the tag would reach over its end.
    if (cipher.length < size) {
      this.#tag = this.#poly1305.finish();
      chunk.set(this.#tag, cipher.length);
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

  /** The end of the last chunk, when it was made: 16 bytes. */
  get tag(): Uint8Array {
    return this.#tag;
  }

  /** Closes the source. */
  close(): void {
    closeSync(this.#file);
  }

  #fillPlaintext(plain: Uint8Array): void {
    const content = { prefix: this.prefix, file: this.#file, contentLength: this.sourceSize };
    let complete: boolean;
    try {
      complete = fillPlaintext(plain, this.#offset, content);
    } catch (error) {
      throw localFailure(error, this.#path);
    }
    if (!complete) throw sourceChanged(this.#path);
  }

  #checkUnchanged(): void {
    const now = fstatSync(this.#file);
    if (now.size !== this.#stats.size || now.mtimeMs !== this.#stats.mtimeMs) throw sourceChanged(this.#path);
  }
}

function planChunks(payload: number, plan: ChunkPlan): readonly number[] {
  if (plan === 'normal') return planChunkSizes(payload);
  if (plan === 'small') return planSmallChunkSizes(payload);
  const size = singleChunkSize(payload);
  if (size === undefined)
    throw new XftpError('FILE_TOO_LARGE', `${humanSize(payload)} do not fit one chunk.`);
  return [size];
}
