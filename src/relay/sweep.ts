import { encodeBase64Url } from '../protocol/index.js';
import type { BodyStorage } from './body-storage.js';
import type { StoreLogState } from './compaction.js';
import { describeFileError } from './file-errors.js';
import type { RecordStore } from './record-store.js';

/** What a sweep needs to know. */
export interface SweepOptions {
  /** The log that the records come from. */
  readonly log: StoreLogState | 'unwanted';
  /** Chunks created before are expired, in seconds (Unix time). */
  readonly oldest: number;
  /** How many unfinished uploads were removed already, to be told with the rest. */
  readonly unfinished: number;
  /** Told, in one sentence each, what was removed, what was left, and what failed. */
  readonly report: (problem: string) => void;
  /** Ends it early; the next start goes on. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Removes bodies that no record owns, if it is certain that none ever will. To be called before clients come, since new
 * chunks look the same for a moment. Reports the number of what was removed, with that of the unfinished uploads, and of
 * what was left. Never fails: what is left costs no more than room.
 */
export async function sweepChunks(
  storage: BodyStorage,
  store: RecordStore,
  { log, oldest, unfinished, report, signal }: SweepOptions,
): Promise<void> {
  let removed = 0;
  try {
    const { useless, unknown, ownsSome } = await findOrphans(storage, store, log, oldest);
    for (const place of useless) {
      if (signal?.aborted === true) break;
      await storage.remove(place);
      removed += 1;
    }
    if (unknown > 0) report(describeUnknown(unknown, log, ownsSome));
  } catch (error) {
    report(describeFileError(error, 'A chunk that no record owns cannot be removed').message);
  }
  if (removed + unfinished === 0) return;
  report(
    'Left-over files were removed from the folder of chunks: ' +
      `${String(unfinished)} of unfinished uploads, ${String(removed)} that no record owns.`,
  );
}

interface Orphans {
  /** Places of bodies that can go. */
  readonly useless: readonly string[];
  /** How many others no record owns, as far as the log can tell. */
  readonly unknown: number;
  /** Whether there are bodies that a record does own. */
  readonly ownsSome: boolean;
}

/**
 * Bodies of chunks that the log knows without a body can go: their upload was never noted (the relay was killed before
 * that), or they are blocked. Bodies of chunks that it does not know may have been deleted before the power went, when
 * their removal was not yet on disk. Or the log is that of other chunks, as when its folder was not mounted: so they stay
 * until they would be expired in any log, and longer if the log knows none of the bodies.
 */
async function findOrphans(
  storage: BodyStorage,
  store: RecordStore,
  log: SweepOptions['log'],
  oldest: number,
): Promise<Orphans> {
  if (log === 'gaps' || log === 'unwanted') return { useless: [], unknown: 0, ownsSome: false };
  const bodies = await storage.list();
  const owned = new Set<string>();
  const known = new Set<string>();
  for (const { senderId, place } of await store.createdBefore(Infinity)) {
    known.add(encodeBase64Url(senderId));
    if (place !== undefined) owned.add(storage.placeHere(place));
  }
  const orphans = bodies.filter(({ place }) => !owned.has(place));
  const ownsSome = orphans.length < bodies.length;
  const useless: string[] = [];
  for (const { senderId, place } of orphans) {
    const isKnown = known.has(encodeBase64Url(senderId));
    if (isKnown || (ownsSome && ((await storage.storedAt(place)) ?? Infinity) < oldest)) useless.push(place);
  }
  return { useless, unknown: orphans.length - useless.length, ownsSome };
}

function describeUnknown(count: number, log: SweepOptions['log'], ownsSome: boolean): string {
  const there = `Files in the folder of chunks that belong to no chunk: ${String(count)}.`;
  if (log === 'missing')
    return `${there} The store log was not there and is new: if it has been lost, stop the relay and restore it, or set XFTP_SERVER_LOG_PATH.`;
  return ownsSome
    ? `${there} They stay until they are older than chunks can get; \`xftp-server check --repair\` removes them at once, if the store log is the right one.`
    : `${there} The store log knows none of the files that are there: if it is the wrong one, stop the relay and restore the right one, or set XFTP_SERVER_LOG_PATH; if not, remove them by hand.`;
}
