import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { errorCode } from '../../system/index.js';
import { describeFileError } from '../file-errors.js';
import type { StoredBodies } from '../record-table.js';
import { isBodyName } from '../file-storage.js';

/**
 * Number and bytes of the chunk bodies in a folder, whatever the records say of them.
 *
 * @throws XftpError NO_PERMISSION or LOCAL_IO when the folder cannot be read
 */
export async function storedFiles(filesPath: string): Promise<StoredBodies> {
  let count = 0;
  let bytes = 0;
  try {
    for (const name of (await readdir(filesPath)).filter(isBodyName)) {
      bytes += await sizeOf(join(filesPath, name));
      count += 1;
    }
  } catch (error) {
    throw describeFileError(error, `The folder of chunks ${filesPath} cannot be read`);
  }
  return { count, bytes };
}

/** A relay at work may delete it meanwhile. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 0;
    throw error;
  }
}
