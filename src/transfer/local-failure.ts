import { existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

import { type FailureCode, isXftpError, XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';

/** What the operating system's error codes mean for a transfer, as a sentence about `PATH`. */
const MEANINGS: Readonly<Record<string, { readonly code: FailureCode; readonly message: string }>> = {
  ENOENT: { code: 'SOURCE_MISSING', message: 'PATH does not exist.' },
  ENOTDIR: { code: 'SOURCE_MISSING', message: 'A part of the path PATH is not a folder.' },
  EEXIST: { code: 'FILE_EXISTS', message: 'PATH exists already: choose another name or folder.' },
  EISDIR: { code: 'INVALID_ARGUMENT', message: 'PATH is a folder: name a file.' },
  EACCES: { code: 'NO_PERMISSION', message: 'You have no permission to use PATH.' },
  EPERM: { code: 'NO_PERMISSION', message: 'You have no permission to use PATH.' },
  EROFS: { code: 'NO_PERMISSION', message: 'PATH is on a file system that cannot be written to.' },
  ENOSPC: { code: 'DISK_FULL', message: 'The disk of PATH is full: make room and try again.' },
  EDQUOT: { code: 'DISK_FULL', message: 'Your disk quota for PATH is used up: make room and try again.' },
  EFBIG: {
    code: 'DISK_FULL',
    message: 'The file system or limits of PATH do not allow a file of this size.',
  },
  ENAMETOOLONG: { code: 'LOCAL_IO', message: 'The path PATH is too long for the file system.' },
};

/** Node puts this in place of bytes of an argument that are not UTF-8: it names no file then. */
const NOT_UTF8 = '\ufffd';

function meaningOf(code: string, path: string): (typeof MEANINGS)[string] | undefined {
  if (code !== 'ENOENT' || !path.includes(NOT_UTF8)) return MEANINGS[code];
  const message =
    'PATH cannot be found, as its name is not valid UTF-8: rename it, or make a hard link to it with another name.';
  return { code: 'SOURCE_MISSING', message };
}

/** The failure that an error of the operating system at `path` means; a failure of the project stays what it is. */
export function localFailure(error: unknown, path: string): XftpError {
  if (isXftpError(error)) return error;
  const code = errorCode(error) ?? '';
  const meaning = meaningOf(code, path) ?? {
    code: 'LOCAL_IO',
    message: `PATH cannot be read or written${code === '' ? '' : ` (${code})`}.`,
  };
  // A function as replacement, since a path may hold `$`.
  return new XftpError(
    meaning.code,
    meaning.message.replace('PATH', () => path),
    { cause: error },
  );
}

/**
 * The failure that an error of the operating system means when a new file is made at `path`, which a person has not
 * chosen: it names the folder. A failure of the project stays what it is.
 */
export function newFileFailure(error: unknown, path: string): XftpError {
  const folder = dirname(path);
  const failure = (code: FailureCode, message: string): XftpError =>
    new XftpError(code, message, { cause: error });
  switch (errorCode(error)) {
    case 'ENOENT':
      // Folders such as /proc take no new names, and say no more about it.
      return isThere(folder)
        ? failure('NO_PERMISSION', `The folder ${folder} cannot be written to: choose another one.`)
        : failure('SOURCE_MISSING', `The folder ${folder} is gone: make it again, or choose another one.`);
    case 'EACCES':
    case 'EPERM':
      // A file that is there already may be what is closed, not its folder.
      return existsSync(path)
        ? localFailure(error, path)
        : failure('NO_PERMISSION', `You have no permission to write to the folder ${folder}.`);
    case 'EROFS':
      return localFailure(error, folder);
    default:
      return localFailure(error, path);
  }
}

/** A folder that was removed while somebody has it open can still be asked about, and says that it has no name. */
function isThere(folder: string): boolean {
  try {
    return statSync(folder).nlink > 0;
  } catch {
    return false;
  }
}
