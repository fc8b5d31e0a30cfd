import { encodeBase64Url } from '../protocol/index.js';
import type { BodyStorage, ListedBody } from './body-storage.js';
import { describeFileError } from './file-errors.js';
import type { RecordStore } from './record-store.js';

/** What a sweep needs to know. */
export interface SweepOptions {
  /** Whether the records are all that there are: their log was read without a gap. Else no body is touched. */
  readonly complete: boolean;
  /** How many unfinished uploads were removed already, to be told with the rest. */
  readonly unfinished: number;
  /** Told, in one sentence, what was removed or why that failed. */
  readonly report: (problem: string) => void;
  /** Ends it early; the next start goes on. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Removes bodies that no record owns: their removal was not yet on disk when the power went, the line that says so was.
 * To be called before clients come, since new chunks look the same for a moment. Reports their number, and that of the
 * unfinished uploads. Never fails: what is left costs no more than room.
 */
export async function sweepChunks(
  storage: BodyStorage,
  store: RecordStore,
  { complete, unfinished, report, signal }: SweepOptions,
): Promise<void> {
  let removed = 0;
  try {
    for (const { place } of complete ? await findOrphans(storage, store) : []) {
      if (signal?.aborted === true) break;
      await storage.remove(place);
      removed += 1;
    }
  } catch (error) {
    report(describeFileError(error, 'A chunk that no record owns cannot be removed').message);
  }
  if (removed + unfinished === 0) return;
  report(
    'Left-over files were removed from the folder of chunks: ' +
      `${String(unfinished)} of unfinished uploads, ${String(removed)} that no record owns.`,
  );
}

/**
 * Bodies of chunks whose upload was never noted (the relay was killed before that) or that are blocked, and bodies of
 * no chunk at all. Of the latter none when no record has its body here: the log is probably that of other chunks.
 */
async function findOrphans(storage: BodyStorage, store: RecordStore): Promise<readonly ListedBody[]> {
  const bodies = await storage.list();
  const owned = new Set<string>();
  const known = new Set<string>();
  for (const { senderId, place } of await store.createdBefore(Infinity)) {
    known.add(encodeBase64Url(senderId));
    if (place !== undefined) owned.add(storage.placeHere(place));
  }
  const orphans = bodies.filter(({ place }) => !owned.has(place));
  if (orphans.length < bodies.length) return orphans;
  return orphans.filter(({ senderId }) => known.has(encodeBase64Url(senderId)));
}
