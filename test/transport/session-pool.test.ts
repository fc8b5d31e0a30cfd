import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { failing } from '../crypto/expected-failure.js';
import { deferred } from './channel-samples.js';
import { begin, OTHER_SERVER, settle, stubPool } from './session-stubs.js';

const IDLE_MS = 1000;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** Whether something has happened when everything has that waits only for promises. */
async function happened(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  const note = (): void => {
    done = true;
  };
  promise.then(note, note);
  await settle();
  return done;
}

describe('shared uses', () => {
  it('keep away from sessions with an upload while there can be others', async () => {
    const stubs = stubPool({ sessionsPerServer: 2 });
    await begin(stubs, 'upload').started;
    expect(await begin(stubs, 'shared').started).toBe(2);
    expect(await begin(stubs, 'shared').started).toBe(2);
    const uploads = [begin(stubs, 'upload'), begin(stubs, 'upload'), begin(stubs, 'upload')];
    await settle();
    const shared = begin(stubs, 'shared');
    expect(await happened(shared.started)).toBe(true);
    expect(uploads).toHaveLength(3);
  });

  it('at the same time wait for one dial and share its session', async () => {
    const dialled = deferred();
    const stubs = stubPool({ sessionsPerServer: 4 }, () => dialled.promise);
    const uses = Array.from({ length: 5 }, () => begin(stubs, 'shared'));
    await settle();
    expect(stubs.dials()).toBe(1);
    dialled.resolve();
    expect(await Promise.all(uses.map(({ started }) => started))).toStrictEqual([1, 1, 1, 1, 1]);
    for (const { end } of uses) end.resolve();
    await Promise.all(uses.map(({ outcome }) => outcome));
    expect(stubs.open()).toHaveLength(1);
  });

  it('of different servers have different sessions', async () => {
    const stubs = stubPool();
    const uses = [begin(stubs, 'shared'), begin(stubs, 'shared', undefined, OTHER_SERVER)];
    expect(await Promise.all(uses.map(({ started }) => started))).toStrictEqual([1, 2]);
  });

  it('take the session with the fewest users', async () => {
    const stubs = stubPool({ sessionsPerServer: 2 });
    const first = begin(stubs, 'upload');
    const second = begin(stubs, 'upload');
    await Promise.all([first.started, second.started]);
    const shared = Array.from({ length: 4 }, () => begin(stubs, 'shared'));
    const numbers = await Promise.all(shared.map(({ started }) => started));
    expect(numbers.filter((number) => number === 1)).toHaveLength(2);
  });

  it('that are aborted while dialling fail with CANCELLED and stop the dial', async () => {
    const stopped = vi.fn();
    const stubs = stubPool({}, (signal) => {
      signal.addEventListener('abort', stopped);
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          reject(new Error('stopped'));
        });
      });
    });
    const abort = new AbortController();
    const use = begin(stubs, 'shared', abort.signal);
    await settle();
    abort.abort();
    await expect(use.outcome).rejects.toThrow(failing('CANCELLED'));
    await settle();
    expect(stopped).toHaveBeenCalledTimes(1);
  });

  it('fail with the failure of the dial, and the next one dials again', async () => {
    const stubs = stubPool({}, (_, number) =>
      number === 1 ? Promise.reject(new Error('refused')) : Promise.resolve(),
    );
    await expect(begin(stubs, 'shared').outcome).rejects.toThrow('refused');
    expect(await begin(stubs, 'shared').started).toBe(1);
  });

  it('that fail leave the session to others', async () => {
    const stubs = stubPool();
    const use = begin(stubs, 'shared');
    await use.started;
    use.end.reject(new Error('gone'));
    await expect(use.outcome).rejects.toThrow('gone');
    expect(await begin(stubs, 'shared').started).toBe(1);
  });

  it('never start when their signal has aborted', async () => {
    const stubs = stubPool();
    await expect(begin(stubs, 'shared', AbortSignal.abort()).outcome).rejects.toThrow(failing('CANCELLED'));
    expect(stubs.dials()).toBe(0);
  });

  it('dial again when the session can no longer be used, but never beyond the limit', async () => {
    const stubs = stubPool({ sessionsPerServer: 1 });
    const busy = begin(stubs, 'shared');
    await busy.started;
    stubs.sessions[0]?.retire();
    const waiting = begin(stubs, 'shared');
    await happened(waiting.started);
    // The retired session has not ended yet: it still counts.
    expect(stubs.open()).toHaveLength(1);
    busy.end.resolve();
    expect(await waiting.started).toBe(2);
    expect(stubs.open()).toHaveLength(1);
  });
});

describe('uploads', () => {
  it('have a session each, up to the limit, and then wait', async () => {
    const stubs = stubPool({ sessionsPerServer: 3 });
    const uses = Array.from({ length: 5 }, () => begin(stubs, 'upload'));
    await settle();
    expect(stubs.sessions.map(({ uploads }) => uploads)).toStrictEqual([1, 1, 1]);
    uses[1]?.end.resolve();
    expect(await uses[3]?.started).toBe(2);
    expect(await happened(uses[4]!.started)).toBe(false);
    for (const { end } of uses) end.resolve();
    await Promise.all(uses.map(({ outcome }) => outcome));
    expect(stubs.dials()).toBe(3);
  });

  it('go to a session that downloads use', async () => {
    const stubs = stubPool({ sessionsPerServer: 2 });
    await begin(stubs, 'shared').started;
    expect(await begin(stubs, 'upload').started).toBe(1);
  });

  it('are served in the order in which they came', async () => {
    const stubs = stubPool();
    const order: number[] = [];
    const uses = Array.from({ length: 6 }, () => begin(stubs, 'upload'));
    for (const [index, use] of uses.entries()) void use.started.then(() => order.push(index));
    for (const use of uses) {
      await use.started;
      use.end.resolve();
    }
    await Promise.all(uses.map(({ outcome }) => outcome));
    expect(order).toStrictEqual([0, 1, 2, 3, 4, 5]);
  });

  it('are served in that order also when one fails on a session that a download still uses', async () => {
    const stubs = stubPool();
    const download = begin(stubs, 'shared');
    await download.started;
    const [first, second, third] = [begin(stubs, 'upload'), begin(stubs, 'upload'), begin(stubs, 'upload')];
    await first.started;
    first.end.reject(new Error('lost'));
    await expect(first.outcome).rejects.toThrow('lost');
    await settle();
    download.end.resolve();
    await happened(second.started);
    expect(await happened(third.started)).toBe(false);
    expect(await happened(second.started)).toBe(true);
  });

  it('cannot be overtaken by one that comes at the moment when a session becomes free', async () => {
    for (let turns = 0; turns < 12; turns++) {
      const stubs = stubPool();
      const first = begin(stubs, 'upload');
      const second = begin(stubs, 'upload');
      await first.started;
      first.end.resolve();
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      const third = begin(stubs, 'upload');
      await settle();
      expect([turns, await happened(second.started), await happened(third.started)]).toStrictEqual([
        turns,
        true,
        false,
      ]);
      second.end.resolve();
      await third.started;
    }
  });

  it('that fail abandon their session; it counts until it has ended', async () => {
    const stubs = stubPool();
    const download = begin(stubs, 'shared');
    const upload = begin(stubs, 'upload');
    await upload.started;
    upload.end.reject(new Error('lost'));
    await expect(upload.outcome).rejects.toThrow('lost');
    expect(stubs.sessions[0]).toMatchObject({ usable: false, ended: false });
    const next = begin(stubs, 'upload');
    expect(await happened(next.started)).toBe(false);
    download.end.resolve();
    expect(await next.started).toBe(2);
  });

  it('that wait are aborted cleanly: no session, and nobody behind them is forgotten', async () => {
    const stubs = stubPool();
    const abort = new AbortController();
    const uses = [begin(stubs, 'upload'), begin(stubs, 'upload', abort.signal), begin(stubs, 'upload')];
    await uses[0]?.started;
    abort.abort();
    await expect(uses[1]?.outcome).rejects.toThrow(failing('CANCELLED'));
    uses[0]?.end.resolve();
    expect(await uses[2]?.started).toBe(1);
    expect(await happened(uses[1]!.started)).toBe(false);
  });

  it('wait no longer when a dial has failed', async () => {
    const failures = [deferred(), deferred()];
    const stubs = stubPool({}, (_, number) => failures[number - 1]?.promise ?? Promise.resolve());
    const uses = [begin(stubs, 'upload'), begin(stubs, 'upload'), begin(stubs, 'upload')];
    await settle();
    expect(stubs.dials()).toBe(1);
    failures[0]?.reject(new Error('refused'));
    await expect(uses[0]?.outcome).rejects.toThrow('refused');
    failures[1]?.reject(new Error('refused again'));
    await expect(uses[1]?.outcome).rejects.toThrow('refused again');
    expect(await uses[2]?.started).toBe(1);
  });

  it('are not cancelled because another one, which waited for the same dial, was', async () => {
    const dialled = deferred();
    const stubs = stubPool({}, (signal, number) => {
      if (number > 1) return Promise.resolve();
      signal.addEventListener('abort', () => {
        dialled.reject(new Error('stopped'));
      });
      return dialled.promise;
    });
    const abort = new AbortController();
    const cancelled = begin(stubs, 'shared', abort.signal);
    await settle();
    abort.abort();
    const upload = begin(stubs, 'upload');
    await expect(cancelled.outcome).rejects.toThrow(failing('CANCELLED'));
    // Whether the dial goes on for the upload or another one is made is all the same.
    await settle();
    dialled.resolve();
    upload.end.resolve();
    expect(await upload.outcome).toBe(1);
  });
});

describe('a session without requests', () => {
  it('is closed after the idle time, counted from its last request', async () => {
    const stubs = stubPool({ idleMs: IDLE_MS });
    const use = begin(stubs, 'shared');
    await use.started;
    await vi.advanceTimersByTimeAsync(10 * IDLE_MS);
    use.end.resolve();
    await use.outcome;
    await vi.advanceTimersByTimeAsync(IDLE_MS - 1);
    const again = begin(stubs, 'upload');
    again.end.resolve();
    expect(await again.outcome).toBe(1);
    await vi.advanceTimersByTimeAsync(IDLE_MS - 1);
    expect(stubs.open()).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(stubs.open()).toHaveLength(0);
    expect(await begin(stubs, 'shared').started).toBe(2);
  });
});

describe('closing a pool', () => {
  it('closes all sessions and takes no more uses', async () => {
    const stubs = stubPool({ sessionsPerServer: 2 });
    const uses = [
      begin(stubs, 'upload'),
      begin(stubs, 'upload'),
      begin(stubs, 'shared', undefined, OTHER_SERVER),
    ];
    await Promise.all(uses.map(({ started }) => started));
    stubs.pool.close();
    expect(stubs.open()).toHaveLength(0);
    await expect(begin(stubs, 'shared').outcome).rejects.toThrow(failing('CANCELLED'));
  });

  it('stops dials', async () => {
    const stubs = stubPool(
      {},
      (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            reject(new Error('stopped'));
          });
        }),
    );
    const use = begin(stubs, 'shared');
    await settle();
    stubs.pool.close();
    await expect(use.outcome).rejects.toThrow();
    expect(stubs.sessions).toHaveLength(0);
  });

  it('closes a session whose dial succeeds although it was stopped', async () => {
    const dialled = deferred();
    const stubs = stubPool({}, () => dialled.promise);
    const use = begin(stubs, 'shared');
    await settle();
    stubs.pool.close();
    dialled.resolve();
    await settle();
    use.end.resolve();
    await happened(use.outcome);
    expect(stubs.open()).toHaveLength(0);
  });

  it('ends uploads that wait, and opens nothing for them', async () => {
    const stubs = stubPool();
    const uses = [begin(stubs, 'upload'), begin(stubs, 'upload'), begin(stubs, 'upload')];
    await uses[0]?.started;
    stubs.pool.close();
    uses[0]?.end.reject(new Error('closed'));
    await settle();
    expect(stubs.dials()).toBe(1);
    for (const { outcome } of uses.slice(1)) {
      expect(await happened(outcome)).toBe(true);
      await expect(outcome).rejects.toThrow(failing('CANCELLED'));
    }
    expect(stubs.open()).toHaveLength(0);
  });

  it('leaves no timers', async () => {
    const stubs = stubPool({ idleMs: IDLE_MS });
    const use = begin(stubs, 'shared');
    use.end.resolve();
    await use.outcome;
    stubs.pool.close();
    await settle();
    expect(vi.getTimerCount()).toBe(0);
  });
});
