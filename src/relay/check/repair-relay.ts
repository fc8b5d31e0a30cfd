import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { replaceStoreLog } from '../compaction.js';
import { isIncomingName } from '../file-storage.js';
import type { Damage } from './damage.js';

/** What was done, one sentence each, and whether something is left to do. */
export interface RepairOutcome {
  readonly repairs: readonly string[];
  readonly left: boolean;
}

/** A damaged body is kept under this name: it may be worth a look, and no relay takes it for a chunk. */
const DAMAGED_SUFFIX = '.damaged';

/** Why files stay that no record names, and what becomes of them. */
const NONE_KNOWN =
  'the store log knows none of those that are there (is it the right one? Restore it or, if it is, remove them by hand)';
const LINES_LOST = 'lines of the log could not be read (the next `check --repair` removes them)';
const LOG_LOST =
  'there is no store log that tells whose they are (restore it from a backup or, if it is lost for good, remove them by hand)';

/**
 * Makes log and folder fit each other. Nothing is lost that could be of use: the old log stays beside the new one, and
 * damaged bodies beside the sound ones. A chunk that has lost its body is as if it had not been uploaded yet.
 */
export async function repairRelay(
  damage: Damage,
  place: { readonly filesPath: string; readonly storeLogPath: string; readonly now: number },
): Promise<RepairOutcome> {
  const { table, lines, bodies, moved, leftOvers } = damage;
  const repairs: string[] = [];
  const tell = (count: number, what: string): void => {
    if (count > 0) repairs.push(`${what}: ${String(count)}.`);
  };
  for (const { record, path, state } of bodies) {
    if (state !== 'missing') await rename(path, `${path}${DAMAGED_SUFFIX}`);
    table.forgetBody(record.senderId);
  }
  for (const { record, path } of moved) {
    table.forgetBody(record.senderId);
    table.apply({ type: 'FPUT', senderId: record.senderId, place: path });
  }
  if (lines + bodies.length + moved.length > 0)
    await replaceStoreLog(place.storeLogPath, table, { hadLog: true, unreadable: [], now: place.now });
  tell(lines, 'Lines dropped from the store log, which is kept under its name with the time behind it');
  tell(bodies.length, 'Chunks that wait for their upload again, damaged ones kept as NAME.damaged');
  tell(moved.length, 'Chunks whose place in the store log was put right');
  const reason = reasonToKeep(damage);
  const removable = leftOvers.filter((name) => reason === undefined || isIncomingName(name));
  for (const name of removable) await rm(join(place.filesPath, name), { force: true });
  tell(removable.length, 'Left-over files removed');
  const kept = leftOvers.length - removable.length;
  tell(kept, `Files that belong to no chunk kept, as ${String(reason)}`);
  return { repairs, left: kept > 0 };
}

/** A body without a record may be that of a line which is lost: such bodies stay unless the log is in order. */
function reasonToKeep({ hadLog, lines, table }: Damage): string | undefined {
  if (!hadLog) return LOG_LOST;
  if (lines > 0) return LINES_LOST;
  return table.stored.count === 0 ? NONE_KNOWN : undefined;
}
