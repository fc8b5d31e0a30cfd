import { lstat, rename } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import { isXftpError, XftpError } from '../protocol/index.js';
import type { CipherPool } from './cipher-pool.js';
import { exists, syncFolder } from './folder.js';
import { localFailure } from './local-failure.js';
import { fileExists, placeExact, uniquePath } from './place-file.js';

/** A verified part file and where it goes. */
export interface PartToFinish {
  /** In the file system of `directory`, best in that folder itself. */
  readonly partPath: string;
  /** Bytes. */
  readonly contentLength: number;
  readonly directory: string;
  /** A safe file name (`safeFileName`). */
  readonly name: string;
  /** What happens when the name is taken: another one with a number in it, replacing the other file, or FILE_EXISTS. */
  readonly onConflict: 'rename' | 'overwrite' | 'fail';
  /** The path that `onChosen` was last told, if it was: after a crash, or a failure that came later. */
  readonly finalPath?: string;
}

/** What accompanies the last step of a part file. */
export interface FinishContext {
  readonly ciphers: CipherPool;
  /**
   * Called with the path that the file is about to get, before it gets it. It must be recorded durably before this
   * returns: it is what makes the step repeatable. Called again when somebody took that path in the meantime.
   */
  readonly onChosen: (finalPath: string) => void | Promise<void>;
}

/**
 * Cuts a verified part file to its content, gives it the mode of a new file and its final name, and makes all of that
 * durable. What must be recorded, for this to be repeated after a crash at any instant, with the file delivered exactly
 * once:
 *
 * 1. before the first call: the parameters;
 * 2. in `onChosen`: the path, and that the part is verified, since it cannot be verified again once it is cut;
 * 3. after it returned: that the file is there.
 *
 * A repetition between 2 and 3 finds the part file still there and places it; or the part file and the final path as
 * two names of one file, and removes the first; or only a file of the right length under the final path, and is done.
 *
 * @returns the absolute path of the file
 * @throws XftpError FILE_EXISTS, SOURCE_MISSING when neither part nor finished file is there, or what writing a file can
 *   fail with. The part file stays, and the call may be repeated.
 */
export async function finishPart(part: PartToFinish, { ciphers, onChosen }: FinishContext): Promise<string> {
  const { partPath, contentLength, finalPath } = part;
  if (finalPath !== undefined && !(await exists(partPath))) return confirmPlaced(finalPath, part);
  let path = finalPath;
  for (;;) {
    if (path === undefined) {
      path = await choosePath(part);
      await onChosen(path);
    }
    await ciphers.call('finishPart', { path: partPath, contentLength });
    try {
      await (part.onConflict === 'overwrite' ? placeOver(partPath, path) : placeExact(partPath, path));
      await syncFolder(dirname(path));
      return path;
    } catch (error) {
      if (part.onConflict !== 'rename' || !isXftpError(error, 'FILE_EXISTS')) throw error;
      path = undefined;
    }
  }
}

/** A free path, for now, unless the file there is to be replaced. */
async function choosePath({ directory, name, onConflict }: PartToFinish): Promise<string> {
  const path = resolve(directory, name);
  if (onConflict === 'overwrite') {
    if (await isFolder(path)) throw localFailure(Object.assign(new Error(), { code: 'EISDIR' }), path);
    return path;
  }
  if (onConflict === 'rename') return uniquePath(resolve(directory), name);
  if (await exists(path)) throw fileExists(path);
  return path;
}

/** The part file is gone: the attempt before has placed it, or somebody has removed it. */
async function confirmPlaced(finalPath: string, { partPath, contentLength }: PartToFinish): Promise<string> {
  const stats = await lstat(finalPath).catch(() => undefined);
  if (stats?.isFile() !== true || stats.size !== contentLength)
    throw new XftpError(
      'SOURCE_MISSING',
      `The received file is gone, before or after it was moved from ${partPath} to ${finalPath}.`,
    );
  await syncFolder(dirname(finalPath));
  return finalPath;
}

/** Told before the part file gets the mode of a new file: the system would say so only when it is placed. */
async function isFolder(path: string): Promise<boolean> {
  const stats = await lstat(path).catch(() => undefined);
  return stats?.isDirectory() === true;
}

async function placeOver(part: string, path: string): Promise<void> {
  await rename(part, path).catch((error: unknown) => {
    throw localFailure(error, path);
  });
}
