import promises, { open, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';

import { expect, it, onTestFinished, vi } from 'vitest';

import { openStoreLog } from '#src/relay/compaction.js';
import { FlushSchedule } from '#src/relay/flush-schedule.js';

import { temporaryFolder } from '../support/temporary-folder.js';

/** Names and flushes in the order in which they happen from now on; the test looks on, and all of them are real. */
async function watchNames(folder: string): Promise<readonly string[]> {
  const seen: string[] = [];
  const { rename } = promises;
  const watched = vi.spyOn(promises, 'rename').mockImplementation(async (from, to) => {
    await rename(from, to);
    seen.push(
      `rename to ${String(to)
        .slice(folder.length + 1)
        .replace(/\d{4}-.*/, 'TIME')}`,
    );
  });
  const handle = await open(folder, 'r');
  const prototype = Object.getPrototypeOf(handle) as typeof handle; // Node does not export the class
  await handle.close();
  const sync = Reflect.get<typeof prototype, 'sync'>(prototype, 'sync');
  const flushed = vi.spyOn(prototype, 'sync').mockImplementation(async function (this: typeof handle) {
    const isFolder = (await this.stat()).isDirectory();
    await sync.call(this);
    seen.push(isFolder ? 'flush the folder' : 'flush the file');
  });
  syncBuiltinESMExports();
  onTestFinished(() => {
    watched.mockRestore();
    flushed.mockRestore();
    syncBuiltinESMExports();
  });
  return seen;
}

it('the old log is out of the way, also after a power loss, before the new one is used', async () => {
  const folder = await temporaryFolder();
  const path = join(folder, 'store.log');
  await writeFile(path, '');
  const seen = await watchNames(folder);
  const flushes = new FlushSchedule('always', () => undefined);
  const { log } = await openStoreLog(path, { now: Date.now, report: () => undefined, flushes });
  await log.close();
  expect(seen).toEqual([
    'rename to store.log.start',
    'flush the file',
    'flush the folder',
    'rename to store.log.TIME',
    'flush the folder',
  ]);
});
