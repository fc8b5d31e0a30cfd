import type { FailureCode } from '../protocol/index.js';
import type { DownloadedChunk } from './chunk-box.js';
import type { FilePrefix } from './file-prefix.js';
import type { OpenRequest } from './open-stream.js';
import type { ChunkToWrite } from './part-chunks.js';
import type { ChunkToSeal } from './seal-chunk.js';
import type { SealRequest } from './seal-stream.js';
import type { VerifyRequest } from './verify-stream.js';

/**
 * What a cipher thread does, call by call: parameters and result. `stream` names one file's encryption or decryption.
 * Chunks are in memory that both sides see (`ChunkMemory`): the caller must not touch it until the answer is there,
 * and that of a chunk being opened not until the chunk is among the `written` ones.
 */
export interface CipherCalls {
  /** Starts to encrypt a source. */
  sealStart: [SealRequest & { stream: number }, SealStart];
  /** Encrypts the next chunk into the start of `buffer`. */
  sealNext: [{ stream: number; buffer: Uint8Array }, { size: number; digest: Uint8Array }];
  /** SHA-512 of all chunks, and the file's tag. */
  sealFinish: [{ stream: number }, { digest: Uint8Array; tag: Uint8Array }];
  /** Makes one chunk of a source again and returns its SHA-256. */
  sealChunk: [ChunkToSeal, { digest: Uint8Array }];
  /** Starts to decrypt a file. */
  openStart: [OpenRequest & { stream: number }, object];
  /** Takes the first chunk and reads the file's header from it. */
  openFirst: [{ stream: number; chunk: DownloadedChunk }, FilePrefix];
  /** Creates the part file (mode 0600) and writes what is there. */
  openPart: [{ stream: number; path: string }, WrittenChunks];
  /** Takes another chunk and writes what can be written. */
  openNext: [{ stream: number; chunk: DownloadedChunk }, WrittenChunks];
  /** Verifies the whole file and flushes the part file to disk. */
  openFinish: [{ stream: number }, object];
  /** Opens the box around a chunk in place and checks the chunk. */
  openBox: [{ chunk: DownloadedChunk }, object];
  /** Decrypts a chunk, out of its box, in place and writes it into the part file. */
  writeChunk: [ChunkToWrite, object];
  /** Starts to verify a part file. */
  verifyStart: [VerifyRequest & { stream: number }, object];
  /** Verifies the next chunk of the part file. */
  verifyNext: [{ stream: number }, { intact: boolean }];
  /** Verifies the whole, when every chunk was intact. */
  verifyFinish: [{ stream: number }, object];
  /** Cuts a part file to its content, gives it the mode of a new file and flushes it to disk. */
  finishPart: [{ path: string; contentLength: number }, object];
  /** Forgets the stream and closes its file. */
  close: [{ stream: number }, object];
}

/** What is known of a source that is being encrypted. */
export interface SealStart {
  readonly sourceSize: number;
  readonly modifiedMs: number;
  readonly chunkSizes: readonly number[];
  readonly prefix: Uint8Array;
}

/** Chunks that were written and whose memory is free again, by their index from 0. */
export interface WrittenChunks {
  readonly written: readonly number[];
}

export type CipherCallName = keyof CipherCalls;
/** Calls that belong to no stream: any thread can take them. */
export type SingleCallName = {
  [N in CipherCallName]: CipherCalls[N][0] extends { stream: number } ? never : N;
}[CipherCallName];
export type CipherParameters<N extends CipherCallName> = CipherCalls[N][0];
export type CipherResult<N extends CipherCallName> = CipherCalls[N][1];

/** One function per call. */
export type CipherHandlers = {
  readonly [N in CipherCallName]: (parameters: CipherParameters<N>) => CipherResult<N>;
};

/** A call on its way to the thread. */
export type CipherRequest = {
  [N in CipherCallName]: { readonly id: number; readonly name: N; readonly parameters: CipherParameters<N> };
}[CipherCallName];

/** An answer on its way back. */
export type CipherReply =
  | { readonly id: number; readonly result: CipherResult<CipherCallName> }
  | { readonly id: number; readonly failure: { readonly code: FailureCode; readonly message: string } };
