import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { errorCode } from '../system/index.js';
import type { FlushSchedule } from './flush-schedule.js';
import { readStoreLog } from './read-store-log.js';
import type { RecordTable } from './record-table.js';
import { LOG_MODE, StoreLog } from './store-log.js';
import { formatLogLine } from './store-log-lines.js';
import { describeFileError } from './file-errors.js';
import { flushFolder } from './flush-folder.js';
import { throwIfStopped } from './stopped-start.js';

/** Bytes of compacted lines that are written at once. */
const WRITE_SIZE = 256 * 1024;

const DAY_MS = 24 * 3600 * 1000;
/** Backups: all of the last day are kept, and this many older ones; the others go after 21 days (section 11.4). */
const KEPT_OLD_BACKUPS = 3;
const BACKUP_LIFE_MS = 21 * DAY_MS;

/**
 * What a log tells of chunks that are not in it: `whole`: they were never acknowledged, or are deleted; `gaps`: nothing,
 * since some of its lines could not be read; `missing`: nothing, since it was not there.
 */
export type StoreLogState = 'whole' | 'gaps' | 'missing';

/** A store log at work, and the records that it held. */
export interface OpenedStoreLog {
  readonly table: RecordTable;
  readonly log: StoreLog;
  readonly state: StoreLogState;
}

/** What starting a store log needs. */
export interface StoreLogOptions {
  /** When its lines are forced to the disk. */
  readonly flushes: FlushSchedule;
  /** Current time in ms. */
  readonly now: () => number;
  /** Told of each line that was skipped, in one sentence. */
  readonly report: (problem: string) => void;
  /** Ends the work early, as a crash would: nothing is lost. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads the store log at `path` and replaces it by a compacted one (protocol reference, section 11.4). Lines that
 * cannot be read come first in it, as they were: the next start must know of them as well. The old one is
 * kept as `NAME.<ISO time>`. A crash at any point leaves either the old log, or it under `NAME.start`, from where
 * the next start takes it back.
 *
 * @throws XftpError NO_PERMISSION, DISK_FULL, LOCAL_IO, or CANCELLED
 */
export async function openStoreLog(path: string, options: StoreLogOptions): Promise<OpenedStoreLog> {
  const { signal, now } = options;
  try {
    const hadLog = await takeBack(path);
    let state: StoreLogState = hadLog ? 'whole' : 'missing';
    const unreadable: string[] = [];
    const report = (problem: string, line?: string): void => {
      state = 'gaps';
      if (line !== undefined) unreadable.push(line);
      options.report(problem);
    };
    const table = await readStoreLog(path, { report, signal });
    await replaceStoreLog(path, table, { hadLog, unreadable, now: now(), signal });
    return { table, log: await StoreLog.open(path, options.flushes), state };
  } catch (error) {
    throw describeFileError(error, `The store log ${path} cannot be opened`);
  }
}

/** Gives a log its name back if a crash came in the way of its compaction; whether there is a log. */
export async function takeBack(path: string): Promise<boolean> {
  const starting = startingPath(path);
  if (await exists(starting)) await rename(starting, path);
  return await exists(path);
}

/**
 * Replaces a log by the fewest lines that make the records, and keeps it as `NAME.<ISO time>`.
 *
 * @param options.hadLog whether there is one to be kept
 * @param options.unreadable lines to put in front
 */
export async function replaceStoreLog(
  path: string,
  table: RecordTable,
  options: {
    readonly hadLog: boolean;
    readonly unreadable: readonly string[];
    readonly now: number;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<void> {
  const { hadLog, now, ...how } = options;
  const starting = startingPath(path);
  if (hadLog) await rename(path, starting);
  await writeCompacted(path, table, how);
  // Before a command is answered, the file that its line goes to must be there after a crash.
  await flushFolder(dirname(path));
  if (!hadLog) return;
  await rename(starting, await backupPath(path, now));
  // A power loss must not undo this once new lines were acknowledged: the old log would replace them.
  await flushFolder(dirname(path));
  await removeOldBackups(path, now);
}

function startingPath(path: string): string {
  return `${path}.start`;
}

async function writeCompacted(
  path: string,
  table: RecordTable,
  {
    unreadable,
    signal,
  }: { readonly unreadable: readonly string[]; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const file = await open(path, 'w', LOG_MODE);
  try {
    // One byte of the file is one character here.
    if (unreadable.length > 0) await file.appendFile(`${unreadable.join('\n')}\n`, 'latin1');
    let lines = '';
    for (const change of table.changes()) {
      lines += `${formatLogLine(change)}\n`;
      if (lines.length < WRITE_SIZE) continue;
      throwIfStopped(signal);
      await file.appendFile(lines);
      lines = '';
    }
    await file.appendFile(lines);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A name for a backup that is not taken: two starts may happen within a millisecond of the clock. */
async function backupPath(path: string, now: number): Promise<string> {
  for (let time = now; ; time += 1) {
    const backup = `${path}.${new Date(time).toISOString()}`;
    if (!(await exists(backup))) return backup;
  }
}

async function removeOldBackups(path: string, now: number): Promise<void> {
  const prefix = `${basename(path)}.`;
  const old = (await readdir(dirname(path)))
    .map((name) => ({ name, time: name.startsWith(prefix) ? parseTime(name.slice(prefix.length)) : NaN }))
    .filter(({ time }) => time < now - DAY_MS)
    .sort((a, b) => b.time - a.time);
  for (const { name, time } of old.slice(KEPT_OLD_BACKUPS))
    if (time < now - BACKUP_LIFE_MS) await rm(join(dirname(path), name), { force: true });
}

function parseTime(text: string): number {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(text) ? Date.parse(text) : NaN;
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
