import type { FailureCode, PlaintextPrefix } from '../protocol/index.js';
import type { DownloadedChunk, OpenRequest } from './open-stream.js';
import type { SealRequest } from './seal-stream.js';

/**
 * What a cipher thread does, call by call: parameters and result. `stream` names one file's encryption or decryption.
 * Byte arrays named `buffer` or `buffers` change hands: the giver must not touch them any more.
 */
export interface CipherCalls {
  /** Starts to encrypt a source. */
  sealStart: [SealRequest & { stream: number }, { sourceSize: number; chunkSizes: readonly number[] }];
  /** Encrypts the next chunk into the start of `buffer`. */
  sealNext: [
    { stream: number; buffer: Uint8Array },
    { buffer: Uint8Array; size: number; digest: Uint8Array },
  ];
  /** SHA-512 of all chunks. */
  sealFinish: [{ stream: number }, { digest: Uint8Array }];
  /** Starts to decrypt a file. */
  openStart: [OpenRequest & { stream: number }, object];
  /** Takes the first chunk and reads the file's header from it. */
  openFirst: [{ stream: number; chunk: DownloadedChunk; buffer: Uint8Array }, PlaintextPrefix];
  /** Creates the part file (mode 0600) and writes what is there. */
  openPart: [{ stream: number; path: string }, { buffers: Uint8Array[] }];
  /** Takes another chunk and writes what can be written. */
  openNext: [{ stream: number; chunk: DownloadedChunk; buffer: Uint8Array }, { buffers: Uint8Array[] }];
  /** Verifies the whole file and flushes the part file to disk. */
  openFinish: [{ stream: number }, object];
  /** Forgets the stream and closes its file. */
  close: [{ stream: number }, object];
}

export type CipherCallName = keyof CipherCalls;
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

/** The memory of the buffers in a message, so that it is moved and not copied. */
export function transferListOf(message: object): ArrayBuffer[] {
  const buffers: unknown[] = [];
  if ('buffer' in message) buffers.push(message.buffer);
  if ('buffers' in message && Array.isArray(message.buffers)) buffers.push(...(message.buffers as unknown[]));
  return buffers.flatMap((buffer) =>
    buffer instanceof Uint8Array && buffer.buffer instanceof ArrayBuffer ? [buffer.buffer] : [],
  );
}
