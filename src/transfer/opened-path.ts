import { lstat, readlink, realpath } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

/**
 * Where an open file or folder lies, whatever `path`, by which it was opened, leads to by now; undefined if nobody can
 * tell. Without links.
 */
export async function pathOfOpened(file: FileHandle, path: string): Promise<string | undefined> {
  const told = await readlink(`/proc/self/fd/${String(file.fd)}`).catch(() => undefined);
  if (told !== undefined) return told;
  // Where there is no /proc, the path has to lead to the very same file still.
  const place = await realpath(path).catch(() => undefined);
  if (place === undefined) return undefined;
  const [opened, named] = await Promise.all([
    file.stat({ bigint: true }),
    lstat(place, { bigint: true }).catch(() => undefined),
  ]);
  return named?.ino === opened.ino && named.dev === opened.dev ? place : undefined;
}
