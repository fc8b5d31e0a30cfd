import { open } from 'node:fs/promises';

/** Makes the names in a folder (new files, renames) survive a crash. */
export async function flushFolder(folder: string): Promise<void> {
  // Windows cannot open folders, and needs no flush of them.
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
