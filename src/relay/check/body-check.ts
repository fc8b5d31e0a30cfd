import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { constantTimeEqual } from '../../crypto/index.js';
import { errorCode } from '../../system/index.js';
import type { ChunkRecord } from '../record.js';

/** What became of a body that a record says is stored. */
export type BodyState = 'sound' | 'missing' | 'wrong size' | 'wrong digest';

/** A body, and where it lies. */
export interface CheckedBody {
  readonly state: BodyState;
  /** Its path; another one than the record's if the folder of chunks was moved. */
  readonly path: string;
}

/** Bytes that are read at once. */
const READ_SIZE = 256 * 1024;

/**
 * Looks for the body of a record at its path, or in the folder of chunks, and compares its size and its SHA-256.
 *
 * @param digests whether it is read: if not, only its size counts
 * @throws as the disk fails, other than that there is no such file
 */
export async function checkBody(
  record: ChunkRecord & { readonly place: string },
  filesPath: string,
  digests: boolean,
): Promise<CheckedBody> {
  const here = join(filesPath, basename(record.place));
  for (const path of new Set([record.place, here])) {
    const file = await openIfThere(path);
    if (file === undefined) continue;
    try {
      return { path, state: await stateOf(file, record, digests) };
    } finally {
      await file.close();
    }
  }
  return { path: record.place, state: 'missing' };
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

async function stateOf(file: FileHandle, record: ChunkRecord, digests: boolean): Promise<BodyState> {
  const status = await file.stat();
  if (!status.isFile() || status.size !== record.size) return 'wrong size';
  if (!digests) return 'sound';
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(READ_SIZE);
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
  }
  return constantTimeEqual(hash.digest(), record.digest) ? 'sound' : 'wrong digest';
}
