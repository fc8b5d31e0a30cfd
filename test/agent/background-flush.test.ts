import { type FileHandle, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { BackgroundFlush } from '#src/agent/background-flush.js';
import { temporaryFolder } from '../support/temporary-folder.js';

/** A flush whose calls to the system end when they are told to. */
async function heldFlush(): Promise<{ flush: BackgroundFlush; calls: ((error?: Error) => void)[] }> {
  const path = join(await temporaryFolder(), 'log');
  await writeFile(path, 'written');
  const file = await open(path);
  const prototype = Object.getPrototypeOf(file) as FileHandle;
  await file.close();
  const calls: ((error?: Error) => void)[] = [];
  const datasync = vi.spyOn(prototype, 'datasync').mockImplementation(
    () =>
      new Promise((resolve, reject) => {
        calls.push((error) => {
          if (error === undefined) resolve();
          else reject(error);
        });
      }),
  );
  const flush = new BackgroundFlush(path);
  onTestFinished(async () => {
    datasync.mockRestore();
    await flush.close();
  });
  return { flush, calls };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setImmediate();
}

describe('a flush in the background', () => {
  it('is shared by those who ask before it begins; those who ask later share the next one', async () => {
    const { flush, calls } = await heldFlush();
    const ended: string[] = [];
    const ask = (name: string): Promise<unknown> => flush.flush().then(() => ended.push(name));
    const all = [ask('a'), ask('b')];
    await until(() => calls.length === 1);
    all.push(ask('c'), ask('d'));
    await setImmediate();
    expect([calls.length, ended]).toEqual([1, []]);
    calls[0]?.();
    await until(() => calls.length === 2);
    expect(ended).toEqual(['a', 'b']);
    calls[1]?.();
    await Promise.all(all);
    expect(ended).toEqual(['a', 'b', 'c', 'd']);
  });

  it('that fails tells those who asked for it, and nobody else', async () => {
    const { flush, calls } = await heldFlush();
    const first = flush.flush();
    await until(() => calls.length === 1);
    const second = flush.flush();
    calls[0]?.(new Error('broken'));
    await expect(first).rejects.toThrow('broken');
    await until(() => calls.length === 2);
    calls[1]?.();
    await second;
  });

  it('fails when there is no such file', async () => {
    const flush = new BackgroundFlush(join(await temporaryFolder(), 'none'));
    await expect(flush.flush()).rejects.toThrow('ENOENT');
    await flush.close();
  });
});
