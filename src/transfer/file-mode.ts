import { closeSync, fchmodSync, fstatSync, openSync, unlinkSync } from 'node:fs';

import { errorCode } from '../system/index.js';

/** Part files hold a file that is not verified yet, and copies of sources are the sender's: nobody else may read them. */
export const PRIVATE_FILE_MODE = 0o600;

/**
 * The mode that new files get in the folder of a part file, learned from one: asking for the process's mask would change
 * it for a moment. A process that is killed meanwhile leaves that file behind, under a name by which the next attempt
 * removes it. Throws the system's error.
 */
export function newFileMode(part: string): number {
  const path = modeProbePath(part);
  const file = openNew(path);
  try {
    return fstatSync(file).mode;
  } finally {
    closeSync(file);
    unlinkSync(path);
  }
}

/** Where `newFileMode` makes its file: a name as long as that of the part file. */
export function modeProbePath(part: string): string {
  return part.replace(/(\.part)?$/u, '.mode');
}

/** Gives an open file a mode. Some file systems know no modes; the file is as good without. */
export function changeMode(file: number, mode: number): void {
  try {
    fchmodSync(file, mode);
  } catch {
    // It keeps the mode that it was made with.
  }
}

/** A file that nobody else has made: its mode would not be ours to learn from. */
function openNew(path: string): number {
  try {
    return openSync(path, 'wx');
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    unlinkSync(path);
    return openSync(path, 'wx');
  }
}
