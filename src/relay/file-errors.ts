import { getSystemErrorMap } from 'node:util';

import { type FailureCode, XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';

/**
 * Turns an error of the file system or of a socket into one with a sentence for the operator.
 *
 * @param what the sentence's beginning: what could not be done
 * @param ifMissing the sentence's end when the file does not exist: what to do about it, perhaps as a question
 */
export function describeFileError(error: unknown, what: string, ifMissing?: string): XftpError {
  if (error instanceof XftpError) return error;
  const system = errorCode(error);
  const { code, reason } = explain(system, error);
  const advice = system === 'ENOENT' && ifMissing !== undefined ? `; ${ifMissing}` : '';
  const stop = advice.endsWith('?') ? '' : '.';
  return new XftpError(code, `${what}: ${reason}${advice}${stop}`, { cause: error });
}

/** Whether an error of the file system means that there is no room left. */
export function isDiskFull(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
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
    case 'EEXIST':
      return {
        code: 'FILE_EXISTS',
        reason: 'a file of that name is there already, move it away or choose another name',
      };
    case 'ENOTDIR':
      return { code: 'LOCAL_IO', reason: 'a part of its path is not a folder' };
    case 'EISDIR':
      return { code: 'LOCAL_IO', reason: 'it is a folder' };
    case 'ENOSPC':
    case 'EDQUOT':
      return { code: 'DISK_FULL', reason: 'the disk is full' };
    case 'EMFILE':
    case 'ENFILE':
      return {
        code: 'LOCAL_IO',
        reason: 'too many files are open, raise the limit (LimitNOFILE of the service, or ulimit -n)',
      };
    case 'EADDRNOTAVAIL':
      return { code: 'LOCAL_IO', reason: 'this machine does not have that address' };
    default:
      return { code: 'LOCAL_IO', reason: code === undefined ? unexpected(error) : inWords(code, error) };
  }
}

/** The system's own words for an error that is too rare for a sentence of ours; its code, to look it up. */
function inWords(code: string, error: unknown): string {
  const number = error instanceof Error && 'errno' in error ? error.errno : undefined;
  const [, words] = (typeof number === 'number' ? getSystemErrorMap().get(number) : undefined) ?? [];
  return `${words ?? 'unexpected error'} (${code})`;
}

/** An error that is a fault of this program: its own words help whoever mends it. */
function unexpected(error: unknown): string {
  return error instanceof Error ? `unexpected error (${error.name}: ${error.message})` : 'unknown error';
}
