import { expect, it, vi } from 'vitest';

import { FlushSchedule } from '#src/relay/flush-schedule.js';

it('always flushes before anybody is told, and tells whoever waits of a failure', async () => {
  const failed = vi.fn();
  const schedule = new FlushSchedule('always', failed);
  const seen: string[] = [];
  await schedule.flush('a', async () => {
    await Promise.resolve();
    seen.push('a');
  });
  expect(seen).toEqual(['a']);
  await expect(schedule.flush('a', () => Promise.reject(new Error('disk')))).rejects.toThrow('disk');
  expect(failed).not.toHaveBeenCalled();
});

it('everysec flushes each thing once, in the order of the latest requests, and reports failures', async () => {
  vi.useFakeTimers();
  try {
    const failures: unknown[] = [];
    const schedule = new FlushSchedule('everysec', (error) => failures.push(error));
    const seen: string[] = [];
    const request = (what: string): Promise<void> =>
      schedule.flush(what, () => {
        seen.push(what);
        return what === 'bad' ? Promise.reject(new Error('disk')) : Promise.resolve();
      });
    for (const what of ['log', 'bad', 'body', 'folder', 'log']) await request(what);
    expect(seen).toEqual([]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(seen).toEqual(['bad', 'body', 'folder', 'log']);
    expect(failures).toEqual([new Error('disk')]);
    await request('log');
    await schedule.settled();
    expect(seen.at(-1)).toBe('log');
    await vi.advanceTimersByTimeAsync(5000);
    expect(seen).toHaveLength(5);
  } finally {
    vi.useRealTimers();
  }
});

it('never leaves it to the system', async () => {
  const schedule = new FlushSchedule('never', () => undefined);
  const act = vi.fn(() => Promise.resolve());
  await schedule.flush('log', act);
  await schedule.settled();
  expect(act).not.toHaveBeenCalled();
});
