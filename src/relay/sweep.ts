import { basename } from 'node:path';

import { decodeBase64Url, encodeBase64Url } from '../protocol/index.js';
import type { ChunkStorage } from './chunk-storage.js';
import { describeFileError } from './file-errors.js';
import { ID_LENGTH } from './record.js';
import type { RecordStore } from './record-store.js';

/** What a sweep needs to know. */
export interface SweepOptions {
  /** Whether the records are all that there are: their log was read without a gap. Else no body is touched. */
  readonly complete: boolean;
  /** Told, in one sentence, what was removed or why that failed. */
  readonly report: (problem: string) => void;
  /** Ends it early; the next start goes on. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Removes bodies that no record owns: their removal was not yet on disk when the power went, the line that says so was.
 * To be called before clients come, since new chunks look the same for a moment. Reports their number, and that of the
 * unfinished uploads removed already. Never fails: what is left costs no more than room.
 */
export async function sweepChunks(
  storage: ChunkStorage,
  store: RecordStore,
  { complete, report, signal }: SweepOptions,
): Promise<void> {
  let removed = 0;
  try {
    for (const name of complete ? await findOrphans(storage, store) : []) {
      if (signal?.aborted === true) break;
      await storage.removeFile(name);
      removed += 1;
    }
  } catch (error) {
    report(describeFileError(error, 'A chunk that no record owns cannot be removed').message);
  }
  if (removed + storage.unfinished === 0) return;
  report(
    'Left-over files were removed from the folder of chunks: ' +
      `${String(storage.unfinished)} of unfinished uploads, ${String(removed)} that no record owns.`,
  );
}

/**
 * Bodies of chunks whose upload was never noted (the relay was killed before that) or that are blocked, and bodies of
 * no chunk at all. Of the latter none when no record has its body here: the log is probably that of other chunks.
 */
async function findOrphans(storage: ChunkStorage, store: RecordStore): Promise<readonly string[]> {
  const names = (await storage.fileNames()).filter(isBodyName);
  const owned = new Set<string>();
  const known = new Set<string>();
  for (const { senderId, path } of await store.createdBefore(Infinity)) {
    known.add(encodeBase64Url(senderId));
    // A log that was moved here names the folder it comes from; the name of the file is the same.
    if (path !== undefined) owned.add(basename(path));
  }
  const orphans = names.filter((name) => !owned.has(name));
  return orphans.length < names.length ? orphans : orphans.filter((name) => known.has(name));
}

/** Whether a file is named as the body of a chunk: the base64url text, with padding, of a sender ID. */
export function isBodyName(name: string): boolean {
  try {
    const id = decodeBase64Url(name);
    return id.length === ID_LENGTH && encodeBase64Url(id) === name;
  } catch {
    return false;
  }
}
