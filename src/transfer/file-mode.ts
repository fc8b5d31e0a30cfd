import { randomUUID } from 'node:crypto';
import { closeSync, fchmodSync, fstatSync, openSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Part files hold a file that is not verified yet, and copies of sources are the sender's: nobody else may read them. */
export const PRIVATE_FILE_MODE = 0o600;

/**
 * The mode that new files get in a folder, learned from one: asking for the process's mask would change it for a moment.
 * Throws the system's error.
 */
export function newFileMode(folder: string): number {
  const path = join(folder, `.${randomUUID()}.mode`);
  const file = openSync(path, 'wx');
  try {
    return fstatSync(file).mode;
  } finally {
    closeSync(file);
    unlinkSync(path);
  }
}

/** Gives an open file a mode. Some file systems know no modes; the file is as good without. */
export function changeMode(file: number, mode: number): void {
  try {
    fchmodSync(file, mode);
  } catch {
    // It keeps the mode that it was made with.
  }
}
