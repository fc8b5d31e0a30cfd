import { homedir } from 'node:os';
import { isAbsolute } from 'node:path';

import { XftpError } from '../protocol/index.js';

/**
 * This user's home folder.
 *
 * @param wayOut what to do when it is not known, for the message
 * @throws XftpError INVALID_ARGUMENT
 */
export function homeFolder(wayOut: string): string {
  try {
    const folder = homedir();
    if (isAbsolute(folder)) return folder;
  } catch {
    // Falls through to the error below.
  }
  throw new XftpError('INVALID_ARGUMENT', `Your home folder is not known: ${wayOut}.`);
}
