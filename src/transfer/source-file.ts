import { constants, openSync, readSync, type Stats } from 'node:fs';

import { humanCount, humanSize, XftpError } from '../protocol/index.js';
import { localFailure } from './local-failure.js';

/** Sources are opened without waiting, so that a named pipe cannot hang the program. */
export const SOURCE_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

/** Opens a source. Throws XftpError. */
export function openSource(path: string): number {
  try {
    return openSync(path, SOURCE_FLAGS);
  } catch (error) {
    throw localFailure(error, path);
  }
}

/**
 * Checks that a source can be sent.
 *
 * @throws XftpError INVALID_ARGUMENT or FILE_TOO_LARGE
 */
export function checkSource(
  stats: Stats,
  { path, maxSize }: { readonly path: string; readonly maxSize: number },
): void {
  if (stats.isDirectory())
    throw new XftpError(
      'INVALID_ARGUMENT',
      `${path} is a folder: pack it into one file first (zip, tar) and send that.`,
    );
  if (!stats.isFile())
    throw new XftpError('INVALID_ARGUMENT', `${path} is not a regular file and cannot be sent.`);
  if (stats.size > maxSize) {
    const [size, limit] = differentSizes(stats.size, maxSize);
    throw new XftpError(
      'FILE_TOO_LARGE',
      `${path} has ${size}, more than the limit of ${limit}: raise the limit (--max-size) to send it.`,
    );
  }
}

/** Two sizes for people, in bytes where they would look the same. */
function differentSizes(one: number, other: number): readonly [string, string] {
  const rounded = [humanSize(one), humanSize(other)] as const;
  return rounded[0] === rounded[1] ? [humanCount(one, 'byte'), humanCount(other, 'byte')] : rounded;
}

/**
 * Some files, such as those in /proc, have content and say that they have none: it would be left out without a word.
 *
 * @param descriptor of the open source; it is read from
 * @throws XftpError INVALID_ARGUMENT
 */
export function checkSizeIsTold({ size }: Stats, descriptor: number, path: string): void {
  if (size > 0 || isEmpty(descriptor, path)) return;
  throw new XftpError(
    'INVALID_ARGUMENT',
    `${path} does not tell how long it is: copy it into an ordinary file first and send that.`,
  );
}

function isEmpty(descriptor: number, path: string): boolean {
  try {
    return readSync(descriptor, new Uint8Array(1), 0, 1, 0) === 0;
  } catch (error) {
    throw localFailure(error, path);
  }
}

/** When a file was last modified, in whole milliseconds since 1970, as it can be stored. */
export function modifiedMs(stats: Stats): number {
  return Math.floor(stats.mtimeMs);
}

/** The failure of a source that is not what it was at the start. */
export function sourceChanged(path: string): XftpError {
  return new XftpError(
    'SOURCE_CHANGED',
    `${path} changed while it was being sent: send it again when nothing writes to it.`,
  );
}
