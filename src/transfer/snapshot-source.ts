import { constants } from 'node:fs';
import { chmod, copyFile, type FileHandle, open, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

import { XftpError } from '../protocol/index.js';
import { throwIfAborted } from '../transport/index.js';
import { PRIVATE_FILE_MODE } from './file-mode.js';
import { checkRoom, syncFolder } from './folder.js';
import { localFailure } from './local-failure.js';
import { pathOfOpened } from './opened-path.js';
import { checkSizeIsTold, checkSource, SOURCE_FLAGS, sourceChanged } from './source-file.js';

/** Bytes copied at a time: enough for a disk to work in long runs. */
const COPY_SIZE = 1024 * 1024;

/** What accompanies the copying of a source. */
export interface SnapshotOptions {
  readonly signal?: AbortSignal;
  /** Largest source that is taken, in bytes; any unless given. */
  readonly maxSize?: number;
  /** Whether a source at this place, where no links lead on, may be read; any unless given. */
  readonly isAllowed?: (place: string) => Promise<boolean>;
}

/**
 * Copies a source (as a clone, where the file system has them) to `target`, mode 0600, and flushes it to disk. What is
 * left at `target` from an attempt before is replaced. After a failure nothing is left there.
 *
 * @throws XftpError FORBIDDEN, SOURCE_MISSING, SOURCE_CHANGED, NO_PERMISSION, INVALID_ARGUMENT, FILE_TOO_LARGE, DISK_FULL, CANCELLED
 */
export async function snapshotSource(
  path: string,
  target: string,
  { signal, maxSize = Infinity, isAllowed }: SnapshotOptions = {},
): Promise<void> {
  throwIfAborted(signal);
  const source = await open(path, SOURCE_FLAGS).catch((error: unknown) => {
    throw localFailure(error, path);
  });
  try {
    if (isAllowed !== undefined) await requireAllowed(source, path, isAllowed);
    const before = await source.stat();
    checkSource(before, { path, maxSize });
    checkSizeIsTold(before, source.fd, path);
    await rm(target, { force: true });
    // Nobody but the caller may be asked to read something else: of the open file, not of what is at its path by now.
    const origin = isAllowed === undefined ? path : `/proc/self/fd/${String(source.fd)}`;
    if (!(await clone(origin, target))) await copy(source, path, { target, size: before.size, signal });
    await flush(target);
    throwIfAborted(signal);
    // A clone is made of the path, which another file may have taken meanwhile.
    const after = await stat(path);
    const same = (['dev', 'ino', 'size', 'mtimeMs'] as const).every((fact) => after[fact] === before[fact]);
    if (!same || (await stat(target)).size !== before.size) throw sourceChanged(path);
    await syncFolder(dirname(target));
  } catch (error) {
    await rm(target, { force: true }).catch(() => undefined);
    throw localFailure(error, target);
  } finally {
    await source.close();
  }
}

/** @throws XftpError FORBIDDEN */
async function requireAllowed(
  source: FileHandle,
  path: string,
  isAllowed: (place: string) => Promise<boolean>,
): Promise<void> {
  const place = await pathOfOpened(source, path);
  if (place !== undefined && (await isAllowed(place))) return;
  throw new XftpError('FORBIDDEN', `${path} leads to a place that may not be read here.`);
}

/** False where the file system makes no clones. */
async function clone(path: string, target: string): Promise<boolean> {
  try {
    await copyFile(path, target, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
    return true;
  } catch {
    // Copying byte by byte finds out whether anything else was wrong.
    await rm(target, { force: true });
    return false;
  }
}

/** Copies piece by piece, so that it can be stopped. */
async function copy(
  source: FileHandle,
  path: string,
  {
    target,
    size,
    signal,
  }: { readonly target: string; readonly size: number; readonly signal: AbortSignal | undefined },
): Promise<void> {
  await checkRoom(dirname(target), size);
  const file = await open(target, 'wx', PRIVATE_FILE_MODE);
  try {
    const piece = new Uint8Array(Math.min(COPY_SIZE, size));
    for (let done = 0; done < size;) {
      throwIfAborted(signal);
      const { bytesRead } = await source
        .read(piece, 0, Math.min(piece.length, size - done), done)
        .catch((error: unknown) => {
          throw localFailure(error, path);
        });
      if (bytesRead === 0) throw sourceChanged(path);
      await file.writeFile(piece.subarray(0, bytesRead));
      done += bytesRead;
    }
  } finally {
    await file.close();
  }
}

async function flush(target: string): Promise<void> {
  // A clone has the mode of its source. Some file systems know no modes; the copy is as good without.
  await chmod(target, PRIVATE_FILE_MODE).catch(() => undefined);
  const file = await open(target, 'r+');
  await file.sync().finally(() => file.close());
}
