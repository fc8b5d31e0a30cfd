import { TAG_LENGTH } from '../crypto/index.js';
import { XftpError } from '../protocol/index.js';
import { throwIfAborted } from '../transport/index.js';
import { checkShared } from './chunk-memory.js';
import type { CipherPool } from './cipher-pool.js';
import { type ByteRange, cipherLengthOf, type EncryptedFile } from './encrypted-file.js';
import type { SealRequest } from './seal-stream.js';

/** Everything that is needed to make any chunk of a source, at any time. Plain data, to be stored. */
export interface PreparedSource extends EncryptedFile {
  readonly path: string;
  /** What is encrypted before the content: length prefix and header. */
  readonly prefix: Uint8Array;
  /** Bytes. */
  readonly sourceSize: number;
  /** When the source was last modified: whole milliseconds since 1970. */
  readonly modifiedMs: number;
  /** The end of the last chunk: 16 bytes. */
  readonly tag: Uint8Array;
}

/** What is known of a source before its first chunk is made. */
export interface SourcePlan {
  readonly chunkSizes: readonly number[];
  /** Bytes. */
  readonly sourceSize: number;
  /** Bytes. */
  readonly encryptedSize: number;
}

/** A chunk, ready for its upload. */
export interface SealedChunk {
  /** From 1. */
  readonly number: number;
  /** Bytes. */
  readonly size: number;
  /** SHA-256 of the chunk. */
  readonly digest: Uint8Array;
}

/** What accompanies the preparation of a source. */
export interface PrepareContext {
  readonly ciphers: CipherPool;
  readonly signal?: AbortSignal;
  /** Called once, before the first chunk. */
  readonly onPlan?: (plan: SourcePlan) => void | Promise<void>;
  /** Called with each chunk in order; `bytes` are valid until it returns and its promise settles. */
  readonly onChunk?: (chunk: SealedChunk & { readonly bytes: Uint8Array }) => void | Promise<void>;
}

/**
 * Reads a source once and finds what is needed to make any of its chunks later. Nothing is stored or uploaded.
 *
 * @returns the source, and SHA-512 of the encrypted file
 * @throws XftpError SOURCE_MISSING, SOURCE_CHANGED, NO_PERMISSION, INVALID_ARGUMENT, FILE_TOO_LARGE or CANCELLED
 */
export async function prepareSource(
  request: SealRequest,
  { ciphers, signal, onPlan, onChunk }: PrepareContext,
): Promise<{ readonly source: PreparedSource; readonly digest: Uint8Array }> {
  throwIfAborted(signal);
  const cipher = ciphers.stream();
  let buffer: Uint8Array | undefined;
  try {
    const { path, name, key, nonce, maxSize, plan } = request;
    const start = { path, name, key, nonce, maxSize, ...(plan === undefined ? {} : { plan }) };
    const { prefix, sourceSize, modifiedMs, chunkSizes } = await cipher.call('sealStart', start);
    await onPlan?.({ chunkSizes, sourceSize, encryptedSize: cipherLengthOf(chunkSizes) + TAG_LENGTH });
    const memory = ciphers.memory.take(chunkSizes.reduce((most, size) => Math.max(most, size), 0));
    buffer = memory;
    for (const index of chunkSizes.keys()) {
      throwIfAborted(signal);
      const { size, digest } = await cipher.call('sealNext', { buffer: memory });
      await onChunk?.({ number: index + 1, size, digest, bytes: memory.subarray(0, size) });
    }
    const { digest, tag } = await cipher.call('sealFinish', {});
    const source = { path, prefix, sourceSize, modifiedMs, chunkSizes, key, nonce, tag };
    return { source, digest };
  } finally {
    await cipher.close();
    if (buffer !== undefined) ciphers.memory.give(buffer);
  }
}

/**
 * Makes a chunk of a source again: any range of its encrypted form. The caller compares its digest with the one that is
 * recorded; another one means that the source has changed, too.
 *
 * @param range lies within the encrypted file
 * @param buffer memory of `ChunkMemory`; the chunk is written into its start
 * @returns SHA-256 of the chunk
 * @throws XftpError SOURCE_MISSING, SOURCE_CHANGED, NO_PERMISSION or INVALID_ARGUMENT
 */
export async function sealChunk(
  source: PreparedSource,
  range: ByteRange,
  buffer: Uint8Array,
  ciphers: CipherPool,
): Promise<Uint8Array> {
  checkShared(buffer);
  const { chunkSizes, ...rest } = source;
  const { offset, size } = range;
  const cipherLength = cipherLengthOf(chunkSizes);
  if (!Number.isSafeInteger(offset) || offset < 0 || size < 1 || offset + size > cipherLength + TAG_LENGTH)
    throw new XftpError('INVALID_ARGUMENT', 'There is no such range in the encrypted file.');
  const chunk = buffer.subarray(0, size);
  const { digest } = await ciphers.call('sealChunk', { source: rest, cipherLength, offset, chunk });
  return digest;
}
