import { open } from 'node:fs/promises';

import { localFailure } from '../transfer/index.js';

/** What is for the owner's eyes alone. */
const PRIVATE_MODE = 0o600;

/**
 * Writes a new file that only its owner can read, and waits until it is on disk. For descriptions, which hold the keys to
 * files.
 *
 * @throws XftpError FILE_EXISTS when there is one already, and as writing fails
 */
export async function writePrivateFile(path: string, text: string): Promise<void> {
  try {
    const handle = await open(path, 'wx', PRIVATE_MODE);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw localFailure(error, path);
  }
}
