import { rmSync } from 'node:fs';
import { lstat, mkdir, open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';

import { humanSize, XftpError } from '../protocol/index.js';
import { makeFolders, removeEmptyFolders, removeEmptyFoldersNow } from '../system/index.js';
import { MAX_NUMBERED, numberedName } from './file-name.js';
import { localFailure } from './local-failure.js';

/**
 * Creates a folder and those above it, unless it is there.
 *
 * @returns the folders that are new, from the outermost to the innermost
 * @throws XftpError NO_PERMISSION and the like
 */
export async function ensureFolder(folder: string): Promise<readonly string[]> {
  return makeFolders(folder).catch((error: unknown) => {
    throw localFailure(error, folder);
  });
}

/** A folder that was made. */
export interface NewFolder {
  readonly path: string;
  /** Removes it with all that is in it, and of the folders that were made for it those that hold nothing else. */
  readonly remove: () => Promise<void>;
  /** The same at once, for a process that is about to end. Never throws. */
  readonly removeNow: () => void;
}

/**
 * Creates a new folder in `parent` (made if needed), with a number in its name if the name is taken. Its path begins as
 * `parent` was given.
 *
 * @throws XftpError; then no new folder is left
 */
export async function makeUniqueFolder(parent: string, name: string): Promise<NewFolder> {
  const above = await ensureFolder(parent);
  try {
    const path = await makeNumberedFolder(parent, name);
    const remove = async (): Promise<void> => {
      await rm(path, { recursive: true, force: true });
      await removeEmptyFolders(above);
    };
    const removeNow = (): void => {
      try {
        rmSync(path, { recursive: true, force: true });
      } catch {
        // Nobody is left to hear of it.
      }
      removeEmptyFoldersNow(above);
    };
    return { path, remove, removeNow };
  } catch (error) {
    await removeEmptyFolders(above);
    throw error;
  }
}

async function makeNumberedFolder(parent: string, name: string): Promise<string> {
  for (let attempt = 0; attempt < MAX_NUMBERED; attempt++) {
    const path = join(parent, numberedName(name, attempt));
    try {
      await mkdir(path);
      return path;
    } catch (error) {
      const failure = localFailure(error, path);
      if (failure.code !== 'FILE_EXISTS') throw failure;
    }
  }
  throw new XftpError('FILE_EXISTS', `There are too many folders named ${name} in ${parent}.`);
}

/**
 * Checks that the disk of a folder has room for `size` bytes.
 *
 * @throws XftpError DISK_FULL, SOURCE_MISSING when there is no such folder
 */
export async function checkRoom(folder: string, size: number): Promise<void> {
  const { bavail, blocks, bsize } = await statfs(folder).catch((error: unknown) => {
    throw localFailure(error, folder);
  });
  const free = bavail * bsize;
  // Some file systems do not count their blocks; there a full disk shows when it is written to.
  if (blocks > 0 && free < size)
    throw new XftpError(
      'DISK_FULL',
      `The disk of ${folder} is full: the file needs ${humanSize(size)} and ${humanSize(free)} are free.`,
    );
}

/** Whether there is anything of that name. */
export async function exists(path: string): Promise<boolean> {
  // A link that leads nowhere is something, too.
  return lstat(path).then(
    () => true,
    () => false,
  );
}

/** Makes a new name in a folder durable. Some systems cannot sync folders, and then do without. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder).catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}
