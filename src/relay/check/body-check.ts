import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { constantTimeEqual } from '../../crypto/index.js';
import { openBodyFile } from '../file-storage.js';
import type { ChunkRecord } from '../record.js';

/** What is wrong with a body that a record says is stored. */
export type BodyDamage = 'missing' | 'no regular file' | 'wrong size' | 'wrong digest';

/** A body, and where it lies. */
export type CheckedBody = {
  /** Its path; another one than the record's if the folder of chunks was moved. */
  readonly path: string;
} & (
  | { readonly state: 'sound' | BodyDamage }
  /** Nobody knows what is in it. */
  | { readonly state: 'unreadable'; readonly error: unknown }
);

/** Bytes that are read at once. */
const READ_SIZE = 256 * 1024;

/**
 * Looks for the body of a record at its path, or in the folder of chunks, and compares its size and its SHA-256. Never
 * fails: what the system says against reading it is in the answer.
 *
 * @param digests whether it is read: if not, only its size counts
 */
export async function checkBody(
  record: ChunkRecord & { readonly place: string },
  filesPath: string,
  digests: boolean,
): Promise<CheckedBody> {
  const named = await checkFile(record.place, record, digests);
  const here = join(filesPath, basename(record.place));
  if (here === record.place || (named.state !== 'missing' && named.state !== 'unreadable')) return named;
  const other = await checkFile(here, record, digests);
  // One that cannot be read may be sound: only a sound one is better.
  return other.state === 'sound' || named.state === 'missing' ? other : named;
}

async function checkFile(path: string, record: ChunkRecord, digests: boolean): Promise<CheckedBody> {
  try {
    const file = await openBodyFile(path);
    if (file === undefined) return { path, state: 'missing' };
    try {
      return { path, state: await stateOf(file, record, digests) };
    } finally {
      await file.close();
    }
  } catch (error) {
    return { path, state: 'unreadable', error };
  }
}

async function stateOf(
  file: FileHandle,
  record: ChunkRecord,
  digests: boolean,
): Promise<'sound' | BodyDamage> {
  const status = await file.stat();
  if (!status.isFile()) return 'no regular file';
  if (status.size !== record.size) return 'wrong size';
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
