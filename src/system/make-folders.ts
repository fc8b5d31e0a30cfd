import { rmdirSync } from 'node:fs';
import { mkdir, rmdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

import { errorCode } from './error-code.js';

/**
 * Creates a folder and those above it, unless they are there. Node's own way of doing this never returns where a folder
 * cannot be made in one that exists because the system says that it does not exist, as in `/proc`.
 *
 * @param mode of the folders that are new
 * @returns the folders that are new, from the outermost to the innermost
 * @throws the error of the system; then no new folder is left
 */
export async function makeFolders(path: string, mode?: number): Promise<readonly string[]> {
  try {
    return await makeFolder(path, mode);
  } catch (error) {
    const parent = dirname(path);
    if (errorCode(error) !== 'ENOENT' || parent === path) throw error;
    const above = await makeFolders(parent, mode);
    try {
      return [...above, ...(await makeFolder(path, mode))];
    } catch (inner) {
      await removeEmptyFolders(above);
      throw inner;
    }
  }
}

/** Removes folders, from the last to the first, until one of them holds something. */
export async function removeEmptyFolders(paths: readonly string[]): Promise<void> {
  try {
    for (const path of paths.toReversed()) await rmdir(path);
  } catch {
    // Somebody else uses it by now, and those above it too.
  }
}

/** The same at once, for a process that is about to end. */
export function removeEmptyFoldersNow(paths: readonly string[]): void {
  try {
    for (const path of paths.toReversed()) rmdirSync(path);
  } catch {
    // As above.
  }
}

async function makeFolder(path: string, mode: number | undefined): Promise<readonly string[]> {
  try {
    await mkdir(path, mode);
    return [path];
  } catch (error) {
    if (errorCode(error) !== 'EEXIST' || !(await isFolder(path))) throw error;
    return [];
  }
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
