import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { XftpError } from '../protocol/index.js';
import { MAX_NUMBERED, numberedName } from './file-name.js';
import { localFailure } from './local-failure.js';

/**
 * Creates a folder and those above it, unless it is there.
 *
 * @throws XftpError NO_PERMISSION and the like
 */
export async function ensureFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw localFailure(error, folder);
  });
}

/**
 * Creates a new folder in `parent` (made if needed), with a number in its name if the name is taken.
 *
 * @returns its path, which begins as `parent` was given
 */
export async function makeUniqueFolder(parent: string, name: string): Promise<string> {
  await ensureFolder(parent);
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
