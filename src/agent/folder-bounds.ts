import { constants } from 'node:fs';
import { lstat, open, readlink, realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';

import { isXftpError, XftpError } from '../protocol/index.js';
import {
  finishPart,
  type FinishContext,
  localFailure,
  pathOfOpened,
  type PartToFinish,
} from '../transfer/index.js';
import type { TransferRow } from './transfer-store.js';

/** Links on one way; more are a circle. As Linux has it. */
const MAX_LINKS = 40;

/** The folders that a transfer may use; undefined for all. */
export type FolderBounds = readonly string[] | undefined;

/** The bounds of a transfer: the folders of the token that asked for it. */
export function boundsOf({ folders }: Pick<TransferRow, 'folders'>): FolderBounds {
  // Written from a list of texts.
  return folders === null ? undefined : (JSON.parse(folders) as string[]);
}

/** Whether `path` is `folder` or lies in it, by their names alone. */
function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

function placesOf(folders: readonly string[]): Promise<readonly string[]> {
  return Promise.all(folders.map((folder) => realpath(folder).catch(() => resolve(folder))));
}

/** Whether a path without links lies in one of the folders, wherever these lead. */
async function liesIn(folders: readonly string[], place: string): Promise<boolean> {
  return (await placesOf(folders)).some((folder) => isInside(folder, place));
}

/**
 * The place that `path` leads to in the end, if it lies in one of the folders, and so does every step of the way from
 * the folder on. What is there outside is never looked at on the way of a link, so the answer does not tell of it.
 *
 * @throws XftpError FORBIDDEN; SOURCE_MISSING when there is nothing at a path inside.
 */
export async function confinePath(path: string, folders: readonly string[]): Promise<string> {
  const places = await placesOf(folders);
  /** Where the way of an absolute path enters the folders, and the rest of it. */
  const enter = async (named: string): Promise<{ here: string; rest: string[] }> => {
    for (const [index, place] of places.entries())
      for (const folder of [place, resolve(folders[index] ?? place)])
        if (isInside(folder, named)) return { here: place, rest: relative(folder, named).split(sep) };
    // By another name that the folder has.
    const place = await realpath(named).catch(() => undefined);
    if (place === undefined || !places.some((folder) => isInside(folder, place))) throw outside();
    return { here: place, rest: [] };
  };
  let { here, rest } = await enter(resolve(path));
  for (let links = 0; rest.length > 0;) {
    const [name = '', ...others] = rest;
    rest = others;
    const next = join(here, name);
    if (!places.some((folder) => isInside(folder, next))) throw outside();
    const target = await readlink(next).catch(() => undefined);
    if (target === undefined) {
      here = next;
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) throw outside();
    if (isAbsolute(target)) {
      const entry = await enter(resolve(target));
      here = entry.here;
      rest = [...entry.rest, ...rest];
    } else rest = [...target.split(sep), ...rest];
  }
  await lstat(here).catch((cause: unknown) => {
    throw new XftpError('SOURCE_MISSING', 'There is no such file or folder.', { cause });
  });
  return here;
}

function outside(): XftpError {
  return new XftpError('FORBIDDEN', 'This token may not use that path: it lies outside of its folders.');
}

/** For `snapshotSource`: whether an opened source lies within the bounds, whatever its path leads to by now. */
export function sourceCheck(bounds: FolderBounds): {
  readonly isAllowed?: (place: string) => Promise<boolean>;
} {
  return bounds === undefined ? {} : { isAllowed: (place) => liesIn(bounds, place) };
}

/**
 * Does work in a folder within the bounds. `work` is given the path to use: on Linux that of the open folder, so that
 * nobody can put another one in its place meanwhile.
 *
 * @throws XftpError FORBIDDEN when the folder leads out of the bounds by now, and what `work` throws
 */
export async function workInside<T>(
  bounds: FolderBounds,
  directory: string,
  work: (path: string) => Promise<T>,
): Promise<T> {
  if (bounds === undefined) return work(directory);
  if (process.platform !== 'linux') {
    const place = await realpath(directory).catch((error: unknown) => {
      throw localFailure(error, directory);
    });
    if (!(await liesIn(bounds, place))) throw astray(directory);
    return work(directory);
  }
  const folder = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY).catch((error: unknown) => {
    throw localFailure(error, directory);
  });
  try {
    const place = await pathOfOpened(folder, directory);
    if (place === undefined || !(await liesIn(bounds, place))) throw astray(directory);
    const through = `/proc/self/fd/${String(folder.fd)}`;
    const hasThrough = await lstat(through).then(
      () => true,
      () => false,
    );
    if (!hasThrough) return await work(directory);
    return await work(through).catch((error: unknown) => {
      throw renamed(error, through, directory);
    });
  } finally {
    await folder.close();
  }
}

/** `finishPart` within bounds. */
export function finishInside(
  bounds: FolderBounds,
  part: PartToFinish,
  { ciphers, onChosen }: FinishContext,
): Promise<string> {
  return workInside(bounds, part.directory, async (folder) => {
    const inFolder = (path: string): string =>
      dirname(path) === part.directory ? join(folder, basename(path)) : path;
    const named = (path: string): string =>
      dirname(path) === folder ? join(part.directory, basename(path)) : path;
    const { finalPath } = part;
    const path = await finishPart(
      {
        ...part,
        directory: folder,
        partPath: inFolder(part.partPath),
        ...(finalPath === undefined ? {} : { finalPath: inFolder(finalPath) }),
      },
      { ciphers, onChosen: (chosen) => onChosen(named(chosen)) },
    );
    return named(path);
  });
}

function astray(path: string): XftpError {
  return new XftpError(
    'FORBIDDEN',
    `${path} leads out of the folders that the token of this transfer may use: put it back, or start a new transfer.`,
  );
}

/** A failure that names the folder as it was asked for. */
function renamed(error: unknown, through: string, directory: string): unknown {
  if (!isXftpError(error) || !error.message.includes(through)) return error;
  return new XftpError(error.code, error.message.replaceAll(through, directory), { cause: error });
}
