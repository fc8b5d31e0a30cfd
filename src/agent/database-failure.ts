import { isXftpError, XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';

/** What is wrong with the database, by the beginning of SQLite's code; the first that fits counts. */
const MEANINGS = [
  ['SQLITE_FULL', 'full'],
  // The index of the write-ahead log could not grow.
  ['SQLITE_IOERR_SHMSIZE', 'full'],
  ['SQLITE_IOERR', 'disk'],
  ['SQLITE_READONLY', 'permission'],
  ['SQLITE_CANTOPEN', 'permission'],
  ['SQLITE_PERM', 'permission'],
  ['SQLITE_CORRUPT', 'damaged'],
  ['SQLITE_NOTADB', 'damaged'],
] as const;

type Meaning = (typeof MEANINGS)[number][1];

/** What to do about a database that cannot be read. */
const WAY_OUT = 'restore a backup of it, or move it away to start anew; the transfers in it are lost then';

/** What an error of SQLite means; undefined for one that is a mistake in a statement. */
function meaningOf(error: unknown): Meaning | undefined {
  const code = errorCode(error) ?? '';
  return MEANINGS.find(([start]) => code.startsWith(start))?.[1];
}

/**
 * The failure that an error of SQLite stands for: DISK_FULL or DATABASE_UNUSABLE. Mistakes in statements, and errors
 * of others, stay as they are.
 */
export function databaseFailure(error: unknown, path: string): unknown {
  const code = errorCode(error) ?? '';
  const details = { cause: error };
  switch (meaningOf(error)) {
    case 'full':
      return new XftpError('DISK_FULL', `The database ${path} cannot be written: its disk is full.`, details);
    case 'disk':
      return unusable(`The database ${path} cannot be read or written (${code}): check its disk.`, error);
    case 'permission':
      return unusable(
        `The database ${path} cannot be opened or written (${code}): check who may write to it and to its folder.`,
        error,
      );
    case 'damaged':
      return damaged(path, error);
    case undefined:
      return error;
  }
}

/** The failure that an error of the system stands for which came while the log of the database was flushed. */
export function flushFailure(error: unknown, path: string): unknown {
  const cause = Object.assign(new Error('The log of the database was not flushed.', { cause: error }), {
    code: errorCode(error) === 'ENOSPC' ? 'SQLITE_FULL' : 'SQLITE_IOERR_FSYNC',
  });
  return databaseFailure(cause, path);
}

/**
 * The failure that an error stands for which came while the database was opened. What is a mistake in a statement
 * elsewhere means here that the file is not the agent's.
 */
export function openingFailure(error: unknown, path: string): unknown {
  const failure = databaseFailure(error, path);
  if (isXftpError(failure)) return failure;
  const isContent = errorCode(error)?.startsWith('SQLITE_') === true || error instanceof SyntaxError;
  return isContent
    ? unusable(`The database ${path} is damaged, or is not one of xftp-agent: ${WAY_OUT}.`, error)
    : error;
}

/** Whether the database could not be written or read for a reason that may pass, such as a full disk. */
export function isDatabaseBlocked(error: unknown): boolean {
  if (!isXftpError(error)) return false;
  const meaning = meaningOf(error.cause);
  return meaning !== undefined && meaning !== 'damaged';
}

/** The failure for a database whose content is damaged. */
export function damaged(path: string, cause: unknown): XftpError {
  return unusable(`The database ${path} is damaged: ${WAY_OUT}.`, cause);
}

function unusable(message: string, cause: unknown): XftpError {
  return new XftpError('DATABASE_UNUSABLE', message, { cause });
}
