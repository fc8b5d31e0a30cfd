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

/** The failure that an error of the operating system at `path` means; a failure of the project stays what it is. */
export function localFailure(error: unknown, path: string): XftpError {
  if (isXftpError(error)) return error;
  const code = errorCode(error) ?? '';
  const meaning = MEANINGS[code] ?? {
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
