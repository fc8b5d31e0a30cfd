import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { isSameProcess, processMark } from '#src/system/index.js';

describe('a process', () => {
  it('is the same as long as it runs', async () => {
    const mark = await processMark(process.pid);
    expect(mark !== undefined).toBe(existsSync('/proc/self/stat'));
    expect(await processMark(process.pid)).toBe(mark);
    expect(await isSameProcess(process.pid, mark)).toBe(true);
    expect(await isSameProcess(process.pid, undefined)).toBe(true);
  });

  it('is not the same when it has ended, or another one has its number', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    await once(child, 'spawn');
    const { pid = 0 } = child;
    const mark = await processMark(pid);
    expect(await isSameProcess(pid, mark)).toBe(true);
    if (mark !== undefined) expect(await isSameProcess(process.pid, mark)).toBe(false);
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    expect(await isSameProcess(pid, mark)).toBe(false);
    expect(await isSameProcess(pid, undefined)).toBe(false);
  });

  it('in another container cannot be looked at', async () => {
    expect(await isSameProcess(process.pid, 'pid:[1] boot 1')).toBe(true);
  });
});
