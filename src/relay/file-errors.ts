import { type FailureCode, XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';

/**
 * Turns an error of the file system or of a socket into one with a sentence for the operator.
 *
 * @param what the sentence's beginning: what could not be done
 */
export function describeFileError(error: unknown, what: string): XftpError {
  if (error instanceof XftpError) return error;
  const { code, reason } = explain(errorCode(error), error);
  return new XftpError(code, `${what}: ${reason}.`, { cause: error });
}

function explain(code: string | undefined, error: unknown): { code: FailureCode; reason: string } {
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return {
        code: 'NO_PERMISSION',
        reason: 'permission denied, run as the user who owns it or change its mode',
      };
    case 'EROFS':
      return { code: 'NO_PERMISSION', reason: 'the file system is read-only' };
    case 'ENOENT':
      return { code: 'LOCAL_IO', reason: 'it does not exist' };
    case 'ENOTDIR':
      return { code: 'LOCAL_IO', reason: 'a part of its path is not a folder' };
    case 'EISDIR':
      return { code: 'LOCAL_IO', reason: 'it is a folder' };
    case 'ENOSPC':
    case 'EDQUOT':
      return { code: 'DISK_FULL', reason: 'the disk is full' };
    case 'EADDRINUSE':
      return { code: 'ADDRESS_IN_USE', reason: 'another program listens there already' };
    case 'EADDRNOTAVAIL':
      return { code: 'LOCAL_IO', reason: 'this machine does not have that address' };
    default:
      return { code: 'LOCAL_IO', reason: code ?? unexpected(error) };
  }
}

/** An error that is a fault of this program: its own words help whoever mends it. */
function unexpected(error: unknown): string {
  return error instanceof Error ? `unexpected error (${error.name}: ${error.message})` : 'unknown error';
}
