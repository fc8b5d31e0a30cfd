import { describe, expect, it } from 'vitest';

import { TaskGroup } from '#src/transfer/task-group.js';
import { deferred } from '../transport/channel-samples.js';

/** A task that ends when its group is aborted, and says so. */
function obedient(group: TaskGroup, log: string[], name: string): () => Promise<never> {
  return () =>
    new Promise((_, reject) => {
      group.signal.addEventListener('abort', () => {
        // Not at once: ending takes a while.
        void Promise.resolve().then(() => {
          log.push(name);
          reject(new Error(`${name} was stopped`));
        });
      });
    });
}

describe('a group of tasks', () => {
  it('gives the result of its main task when all have ended', async () => {
    const group = new TaskGroup();
    const log: string[] = [];
    const late = deferred();
    const run = group.run(() => {
      void group.add(async () => {
        await late.promise;
        log.push('late');
      });
      return Promise.resolve('result');
    });
    late.resolve();
    expect([await run, log]).toStrictEqual(['result', ['late']]);
    expect(group.signal.aborted).toBe(false);
  });

  it('throws the first failure, when all others have ended', async () => {
    const group = new TaskGroup();
    const log: string[] = [];
    const failing = deferred<never>();
    const run = group.run(async () => {
      void group.add(obedient(group, log, 'one'));
      void group.add(() => failing.promise);
      await group.add(obedient(group, log, 'two'));
    });
    failing.reject(new Error('first'));
    await expect(run).rejects.toThrow('first');
    expect(log.sort()).toStrictEqual(['one', 'two']);
    expect(group.signal.aborted).toBe(true);
  });

  it('throws the failure of its main task when that comes first', async () => {
    const group = new TaskGroup();
    const log: string[] = [];
    const run = group.run(() => {
      void group.add(obedient(group, log, 'one'));
      return Promise.reject(new Error('main'));
    });
    await expect(run).rejects.toThrow('main');
    expect(log).toStrictEqual(['one']);
  });

  it('fails when a task fails although its main task has succeeded', async () => {
    const group = new TaskGroup();
    const task = deferred<never>();
    const run = group.run(() => {
      void group.add(() => task.promise);
      return Promise.resolve('result');
    });
    task.reject(new Error('late'));
    await expect(run).rejects.toThrow('late');
  });

  it('fails with whatever was thrown, also with nothing', async () => {
    const group = new TaskGroup();
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- foreign code throws anything
    const run = group.run(() => Promise.reject(undefined));
    expect(await run.catch((error: unknown) => ['thrown', error])).toStrictEqual(['thrown', undefined]);
  });

  it('waits for tasks that tasks have added', async () => {
    const group = new TaskGroup();
    const log: number[] = [];
    const add = (depth: number): Promise<void> =>
      group.add(async () => {
        await Promise.resolve();
        if (depth > 0) void add(depth - 1);
        log.push(depth);
      });
    await group.run(() => {
      void add(5);
      return Promise.resolve();
    });
    expect(log).toStrictEqual([5, 4, 3, 2, 1, 0]);
  });

  it('passes on an abort from outside, and ends when its tasks have', async () => {
    const abort = new AbortController();
    const group = new TaskGroup(abort.signal);
    const log: string[] = [];
    const run = group.run(async () => {
      void group.add(obedient(group, log, 'one'));
      await group.add(obedient(group, log, 'two'));
    });
    abort.abort();
    await expect(run).rejects.toThrow('was stopped');
    expect(log).toHaveLength(2);
  });

  it('begins aborted when the signal from outside is', () => {
    expect(new TaskGroup(AbortSignal.abort()).signal.aborted).toBe(true);
  });
});
