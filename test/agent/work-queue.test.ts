import { describe, expect, it, vi } from 'vitest';

import { pause, WorkQueue } from '#src/agent/work-queue.js';
import { failing } from '../crypto/expected-failure.js';
import { type Deferred, deferred } from '../transport/channel-samples.js';
import { fakeClock } from './agent-samples.js';

const never = new AbortController().signal;
const TURN = { owner: 'test', priority: 0 };

/** Jobs that end when the test says so, and what has started, by name. */
function jobs(queue: WorkQueue): {
  add: (name: string, server: string, priority?: number, signal?: AbortSignal) => Promise<void>;
  started: string[];
  end: (name: string) => Promise<void>;
} {
  const ends = new Map<string, Deferred<void>>();
  const started: string[] = [];
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return {
    started,
    add: async (name, server, priority = 0, signal = never) => {
      ends.set(name, deferred());
      void queue
        .run(server, { owner: name, priority }, signal, async () => {
          started.push(name);
          await ends.get(name)!.promise;
        })
        .catch(() => started.push(`${name} stopped`));
      await settle();
    },
    end: async (name) => {
      ends.get(name)!.resolve();
      await settle();
    },
  };
}

describe('the queue of jobs', () => {
  it('runs so many at once on each server, and so many in all', async () => {
    const { add, started, end } = jobs(new WorkQueue({ perServer: 2, total: 3 }, fakeClock()));
    for (const name of ['a1', 'a2', 'a3', 'b1', 'b2']) await add(name, name.charAt(0));
    expect(started).toEqual(['a1', 'a2', 'b1']);
    await end('b1');
    expect(started.slice(3)).toEqual(['b2']);
    await end('a1');
    expect(started.slice(4)).toEqual(['a3']);
    for (const name of ['a2', 'a3', 'b2']) await end(name);
  });

  it('lets jobs that wait come earlier or later, on their server and in all', async () => {
    const queue = new WorkQueue({ perServer: 2, total: 2 }, fakeClock());
    const { add, started, end } = jobs(queue);
    for (const [name, server] of [
      ['a1', 'a'],
      ['b1', 'b'],
      ['waits in all', 'a'],
      ['raised in all', 'b'],
      ['lowered on its server', 'a'],
      ['waits on its server', 'a'],
    ] as const)
      await add(name, server);
    queue.setPriority({ owner: 'raised in all', priority: 5 });
    queue.setPriority({ owner: 'lowered on its server', priority: -5 });
    queue.setPriority({ owner: 'a1', priority: 5 });
    queue.setPriority({ owner: 'nobody', priority: 5 });
    for (const name of ['a1', 'b1', 'raised in all', 'waits in all', 'waits on its server']) await end(name);
    await end('lowered on its server');
    expect(started.slice(2)).toEqual([
      'raised in all',
      'waits in all',
      'waits on its server',
      'lowered on its server',
    ]);
  });

  it('runs higher priorities first, and equal ones in their order', async () => {
    const { add, started, end } = jobs(new WorkQueue({ perServer: 1, total: 8 }, fakeClock()));
    await add('first', 'a');
    for (const [name, priority] of [
      ['low', -5],
      ['middle 1', 0],
      ['high', 10],
      ['middle 2', 0],
    ] as const)
      await add(name, 'a', priority);
    for (const name of ['first', 'high', 'middle 1', 'middle 2', 'low']) await end(name);
    expect(started).toEqual(['first', 'high', 'middle 1', 'middle 2', 'low']);
  });

  it('does not run what was stopped while it waited, and goes on with the others', async () => {
    const { add, started, end } = jobs(new WorkQueue({ perServer: 1, total: 8 }, fakeClock()));
    const controller = new AbortController();
    await add('first', 'a');
    await add('stopped', 'a', 0, controller.signal);
    await add('next', 'a');
    controller.abort();
    await end('first');
    expect(started.sort()).toEqual(['first', 'next', 'stopped stopped']);
    await end('next');
  });

  it('takes new limits for servers that it knows and for others', async () => {
    const queue = new WorkQueue({ perServer: 1, total: 1 }, fakeClock());
    const { add, started, end } = jobs(queue);
    for (const name of ['a1', 'a2', 'b1']) await add(name, name.charAt(0));
    expect(started).toEqual(['a1']);
    queue.setLimits({ perServer: 2, total: 4 });
    await add('c1', 'c');
    await add('c2', 'c');
    expect(new Set(started)).toEqual(new Set(['a1', 'a2', 'b1', 'c1']));
    expect(queue.size).toBe(5);
    for (const name of ['a1', 'a2', 'b1', 'c1', 'c2']) await end(name);
    expect(queue.size).toBe(0);
  });

  it('runs commands while chunks take all the places of their server, and the other way round', async () => {
    const queue = new WorkQueue({ perServer: 1, total: 8 }, fakeClock());
    const { add, started, end } = jobs(queue);
    const chunk = deferred();
    const cross = (name: string): Promise<void> =>
      queue.cross({ server: 'a', direction: 'up' }, TURN, never, async () => {
        started.push(name);
        await chunk.promise;
      });
    const crossings = [cross('chunk 1'), cross('chunk 2')];
    await add('command 1', 'a');
    await add('command 2', 'a');
    expect(started).toEqual(['chunk 1', 'command 1']);
    expect(queue.size).toBe(4);
    await end('command 1');
    expect(started).toEqual(['chunk 1', 'command 1', 'command 2']);
    chunk.resolve();
    await Promise.all(crossings);
    expect(started.at(-1)).toBe('chunk 2');
    await end('command 2');
    expect(queue.size).toBe(0);
  });

  it('gives what a job gives, and throws what it throws', async () => {
    const queue = new WorkQueue({ perServer: 1, total: 1 }, fakeClock());
    expect(await queue.run('a', TURN, never, () => Promise.resolve(42))).toBe(42);
    const failure = new Error('failure');
    await expect(queue.run('a', TURN, never, () => Promise.reject(failure))).rejects.toBe(failure);
    expect(await queue.run('a', TURN, never, () => Promise.resolve(43))).toBe(43);
  });
});

describe('a pause', () => {
  it('lasts so long, or until it is stopped, and leaves no timer', async () => {
    vi.useFakeTimers();
    try {
      const done = pause(1000, never);
      vi.advanceTimersByTime(1000);
      await done;
      const controller = new AbortController();
      const stopped = expect(pause(1000, controller.signal)).rejects.toThrow(failing('CANCELLED'));
      controller.abort();
      await stopped;
      await expect(pause(1000, controller.signal)).rejects.toThrow(failing('CANCELLED'));
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});
