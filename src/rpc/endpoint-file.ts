import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { localFailure } from '../agent/index.js';

/** File in the data folder by which clients find the agent. */
export const ENDPOINT_FILE = 'rpc.json';

/** What the file says. */
export interface EndpointDescription {
  readonly url?: string;
  /** Absolute path of a Unix socket. */
  readonly socket?: string;
  readonly pid: number;
  /** Tells the process from later ones with its number, where the system can. */
  readonly process?: string;
  readonly version: string;
}

/**
 * Writes the file so that readers find the old one or the new one, whole, and nobody else reads it.
 *
 * @throws XftpError DISK_FULL, NO_PERMISSION and the like
 */
export async function writeEndpoint(dataDir: string, endpoint: EndpointDescription): Promise<void> {
  const path = join(dataDir, ENDPOINT_FILE);
  // The lock of the folder keeps other agents away; what one that was killed has left is replaced.
  const temporary = `${path}.new`;
  try {
    await rm(temporary, { force: true });
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(`${JSON.stringify(endpoint)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw localFailure(error, path);
  }
}

/** Removes the file if it is still the one that was written. */
export async function removeEndpoint(dataDir: string, endpoint: EndpointDescription): Promise<void> {
  const path = join(dataDir, ENDPOINT_FILE);
  const text = await readFile(path, 'utf8').catch(() => '');
  if (text === `${JSON.stringify(endpoint)}\n`) await rm(path, { force: true });
}
