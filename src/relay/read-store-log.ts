import { createReadStream } from 'node:fs';
import { basename } from 'node:path';

import { errorCode } from '../system/index.js';
import type { ChangeOutcome } from './record.js';
import { RecordTable } from './record-table.js';
import { throwIfStopped } from './stopped-start.js';
import { parseLogLine } from './store-log-lines.js';

/** Longest line that is read: the reference compacts all recipients of a chunk into one, this many are beyond reason. */
const MAX_LINE_LENGTH = 16 * 1024 * 1024;
/** Stands for a line that is too long to be kept in memory. */
const UNREADABLE_LINE = '\0';
/** Bytes that are read at once. */
const READ_SIZE = 256 * 1024;

/**
 * The records that a log makes; none when it does not exist. Lines that make no sense are reported and skipped, a cut last line is dropped.
 *
 * @param options.report told of each, with the line if it could not be read
 */
export async function readStoreLog(
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
    for await (const piece of createReadStream(path, { encoding: 'latin1', highWaterMark: READ_SIZE })) {
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
