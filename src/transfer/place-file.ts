import { link, lstat, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';
import { modeProbePath } from './file-mode.js';
import { MAX_NUMBERED, numberedName } from './file-name.js';
import { exists, syncFolder } from './folder.js';
import { localFailure, newFileFailure } from './local-failure.js';

/**
 * Gives a finished part file its final name in `folder`, with a number if the name is taken. Never overwrites.
 *
 * @returns the file's path
 */
export async function placeUnique(part: string, folder: string, name: string): Promise<string> {
  for (let attempt = 0; attempt < MAX_NUMBERED; attempt++) {
    const path = join(folder, numberedName(name, attempt));
    if (await place(part, path)) return path;
  }
  throw tooMany(name, folder);
}

/**
 * The path that `placeUnique` would try first of those that are free at the moment.
 *
 * @throws XftpError FILE_EXISTS
 */
export async function uniquePath(folder: string, name: string): Promise<string> {
  for (let attempt = 0; attempt < MAX_NUMBERED; attempt++) {
    const path = join(folder, numberedName(name, attempt));
    if (!(await exists(path))) return path;
  }
  throw tooMany(name, folder);
}

/**
 * Gives a finished part file the name `path`. Never overwrites. May be repeated after a crash, as long as the part file
 * is there.
 *
 * @throws XftpError FILE_EXISTS
 */
export async function placeExact(part: string, path: string): Promise<void> {
  if (!(await place(part, path))) throw fileExists(path);
}

/** Tells a file from all others, whatever names it has. */
export interface FileIdentity {
  readonly device: bigint;
  readonly inode: bigint;
}

/** The identity of what is there; undefined when nothing is, or when its file system gives none. */
export async function fileIdentity(path: string): Promise<FileIdentity | undefined> {
  const stats = await lstat(path, { bigint: true }).catch(() => undefined);
  return stats === undefined || stats.ino === 0n ? undefined : { device: stats.dev, inode: stats.ino };
}

/** Whether `path` is a name of this file. */
export async function isFile(path: string, { device, inode }: FileIdentity): Promise<boolean> {
  const found = await fileIdentity(path);
  return found?.device === device && found.inode === inode;
}

/** The failure of a path that is taken. */
export function fileExists(path: string): XftpError {
  return new XftpError('FILE_EXISTS', `${path} exists already: choose another name.`);
}

/** False if `path` exists. A rename alone would overwrite it; a hard link fails atomically. */
async function place(part: string, path: string): Promise<boolean> {
  try {
    await link(part, path);
  } catch (error) {
    if (!isTaken(error)) return placeWithoutLink(part, path);
    if (await isReservation(part, path)) return moveOver(part, path);
    if (!(await isSameFile(part, path))) return false;
  }
  // The new name is on disk before the old one goes, whatever the file system writes first.
  await syncFolder(dirname(path));
  // The file is in place; a second name of it that stays does no harm to it.
  await unlink(part).catch(() => undefined);
  return true;
}

/** For file systems without hard links: the name is reserved by a file with the part's name in it, which goes then. */
async function placeWithoutLink(part: string, path: string): Promise<boolean> {
  try {
    await writeFile(path, basename(part), { flag: 'wx' });
  } catch (error) {
    if (isTaken(error)) return false;
    throw newFileFailure(error, path);
  }
  return moveOver(part, path);
}

async function moveOver(part: string, path: string): Promise<true> {
  try {
    await rename(part, path);
  } catch (error) {
    await unlink(path).catch(() => undefined);
    throw localFailure(error, path);
  }
  return true;
}

/**
 * Removes a part file that nobody wants any more, and what a crash has left of its placing: the file that the mode of
 * new files is learned from, and under `path` another name of the part file, or a reservation for it. A file of others
 * at that path stays.
 */
export async function discardPart(part: string, path?: string): Promise<void> {
  if (path !== undefined && ((await isSameFile(part, path)) || (await isReservation(part, path))))
    await unlink(path).catch(() => undefined);
  for (const own of [part, modeProbePath(part)]) await unlink(own).catch(() => undefined);
}

/** Whether a crash left `path` reserved for the part file. The part's name is random, so no other file holds it. */
async function isReservation(part: string, path: string): Promise<boolean> {
  const name = Buffer.from(basename(part));
  const stats = await lstat(path).catch(() => undefined);
  if (stats?.isFile() !== true || stats.size !== name.length) return false;
  return name.equals(await readFile(path).catch(() => Buffer.alloc(0)));
}

/** Whether both are names of one file: a crash came between the new name and the end of the old one. */
async function isSameFile(part: string, path: string): Promise<boolean> {
  const identity = await fileIdentity(part);
  return identity !== undefined && (await isFile(path, identity));
}

function tooMany(name: string, folder: string): XftpError {
  return new XftpError('FILE_EXISTS', `There are too many files named ${name} in ${folder}.`);
}

function isTaken(error: unknown): boolean {
  return errorCode(error) === 'EEXIST';
}
