import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Times that the removal of a folder is tried again, and the ms between: files in it may just be closing. */
const REMOVE = { recursive: true, force: true, maxRetries: 5, retryDelay: 100 } as const;

/** A folder of its own, readable by this user alone, and how to remove it. Its path has no links in it. */
export async function makeTemporaryFolder(
  prefix: string,
  parent = tmpdir(),
): Promise<{ readonly path: string; readonly remove: () => Promise<void> }> {
  const path = await realpath(await mkdtemp(join(parent, prefix)));
  return { path, remove: () => rm(path, REMOVE) };
}
