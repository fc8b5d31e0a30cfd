import { createReadStream } from 'node:fs';
import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { errorCode } from '../system/index.js';
import type { ChangeOutcome } from './record.js';
import { RecordTable } from './record-table.js';
import { StoreLog } from './store-log.js';
import { formatLogLine, parseLogLine } from './store-log-lines.js';
import { describeFileError } from './file-errors.js';
import { flushFolder } from './flush-folder.js';
import { throwIfStopped } from './stopped-start.js';

/** Longest line that is read: the reference compacts all recipients of a chunk into one, this many are beyond reason. */
const MAX_LINE_LENGTH = 16 * 1024 * 1024;
/** Stands for a line that is too long to be kept in memory. */
const UNREADABLE_LINE = '\0';
/** Bytes of compacted lines that are written at once. */
const WRITE_SIZE = 256 * 1024;
/** The log tells keys, not contents; still nobody else needs it. */
const LOG_MODE = 0o600;

const DAY_MS = 24 * 3600 * 1000;
/** Backups: all of the last day are kept, and this many older ones; the others go after 21 days (section 11.4). */
const KEPT_OLD_BACKUPS = 3;
const BACKUP_LIFE_MS = 21 * DAY_MS;

/** A store log at work, and the records that it held. */
export interface OpenedStoreLog {
  readonly table: RecordTable;
  readonly log: StoreLog;
  /** Whether every line was read: whatever is not in the table was never acknowledged, or is deleted. */
  readonly complete: boolean;
}

/** What starting a store log needs. */
export interface StoreLogOptions {
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
  const { signal } = options;
  const starting = `${path}.start`;
  try {
    if (await exists(starting)) await rename(starting, path);
    const hadLog = await exists(path);
    let complete = hadLog;
    const unreadable: string[] = [];
    const report = (problem: string, line?: string): void => {
      complete = false;
      if (line !== undefined) unreadable.push(line);
      options.report(problem);
    };
    const table = await readStoreLog(path, { report, signal });
    if (hadLog) await rename(path, starting);
    await writeCompacted(path, table, { unreadable, signal });
    // Before a command is answered, the file that its line goes to must be there after a crash.
    await flushFolder(dirname(path));
    if (hadLog) {
      await rename(starting, await backupPath(path, options.now()));
      // A power loss must not undo this once new lines were acknowledged: the old log would replace them.
      await flushFolder(dirname(path));
      await removeOldBackups(path, options.now());
    }
    return { table, log: await StoreLog.open(path), complete };
  } catch (error) {
    throw describeFileError(error, `The store log ${path} cannot be opened`);
  }
}

/**
 * The records that a log makes. Lines that make no sense are reported and skipped, a cut last line is dropped.
 *
 * @param options.report told of each, with the line if it could not be read
 */
async function readStoreLog(
  path: string,
  options: {
    readonly report: (problem: string, line?: string) => void;
    readonly signal: AbortSignal | undefined;
  },
): Promise<RecordTable> {
  const { report, signal } = options;
  const table = new RecordTable();
  const name = basename(path);
  let number = 0;
  let line = '';
  const readLine = (text: string): void => {
    number += 1;
    const problem = applyLine(table, text);
    if (problem === undefined) return;
    const unreadable = problem === UNREADABLE ? text : undefined;
    report(`${name}, line ${String(number)} was skipped: ${problem}.`, unreadable);
  };
  try {
    for await (const piece of createReadStream(path, { encoding: 'latin1', highWaterMark: WRITE_SIZE })) {
      throwIfStopped(signal);
      const lines = (line + String(piece)).split('\n');
      line = lines.pop() ?? '';
      for (const text of lines) readLine(text);
      // A line this long is rubbish (zeroes after a crash, say): a part of it is as unreadable as the whole.
      if (line.length > MAX_LINE_LENGTH) line = UNREADABLE_LINE;
    }
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
  if (line !== '')
    report(`${name}, line ${String(number + 1)} was dropped: it is cut off at the end of the file.`);
  return table;
}

const UNREADABLE = 'it cannot be read';

function applyLine(table: RecordTable, line: string): string | undefined {
  try {
    return OUTCOMES[table.apply(parseLogLine(line))];
  } catch {
    return UNREADABLE;
  }
}

const OUTCOMES: Readonly<Record<ChangeOutcome, string | undefined>> = {
  done: undefined,
  duplicate: 'its ID is already in use',
  unknown: 'its ID is not known',
  invalid: 'its size is 0',
};

async function writeCompacted(
  path: string,
  table: RecordTable,
  {
    unreadable,
    signal,
  }: { readonly unreadable: readonly string[]; readonly signal: AbortSignal | undefined },
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
