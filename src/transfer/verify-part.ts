import { open } from 'node:fs/promises';

import { throwIfAborted } from '../transport/index.js';
import type { CipherPool } from './cipher-pool.js';
import { localFailure } from './local-failure.js';
import type { VerifyRequest } from './verify-stream.js';

/** What accompanies the verification of a part file. */
export interface VerifyContext {
  readonly ciphers: CipherPool;
  readonly signal?: AbortSignal;
  /** Called after each chunk; `number` is from 1. */
  readonly onChunk?: (number: number) => void;
}

/**
 * Reads a part file once and verifies chunk by chunk that it holds what was sent, then tag and digest of the whole.
 * When it finds no torn chunk and returns, the file's bytes are on disk: a caller that records this needs to verify no
 * more, and must not once `finishPart` has begun, which cuts the padding off.
 *
 * @returns the numbers (from 1) of the chunks that are not right on disk, as after a crash: they must be downloaded and
 *   the part verified again. A part file that is missing or too short lacks all the chunks that are not in it.
 * @throws XftpError FILE_CORRUPT when all chunks are right but tag or digest of the whole are not, CANCELLED, or what
 *   reading a file can fail with
 */
export async function verifyPart(
  request: VerifyRequest,
  { ciphers, signal, onChunk }: VerifyContext,
): Promise<{ readonly torn: readonly number[] }> {
  throwIfAborted(signal);
  const { partPath, prefix, key, nonce, chunkSizes, chunkDigests, digest } = request;
  const cipher = ciphers.stream();
  const torn: number[] = [];
  try {
    await cipher.call('verifyStart', { partPath, prefix, key, nonce, chunkSizes, chunkDigests, digest });
    for (const index of chunkSizes.keys()) {
      throwIfAborted(signal);
      const { intact } = await cipher.call('verifyNext', {});
      if (!intact) torn.push(index + 1);
      onChunk?.(index + 1);
    }
    if (torn.length === 0) await cipher.call('verifyFinish', {});
  } finally {
    await cipher.close();
  }
  if (torn.length === 0) await flushFile(partPath);
  return { torn };
}

async function flushFile(path: string): Promise<void> {
  try {
    const file = await open(path, 'r+');
    await file.sync().finally(() => file.close());
  } catch (error) {
    throw localFailure(error, path);
  }
}
