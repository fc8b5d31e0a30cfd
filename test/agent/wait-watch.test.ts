import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { WaitWatch } from '#src/agent/wait-watch.js';

let told: string[];
let watch: WaitWatch;
let broken = false;

beforeEach(() => {
  vi.useFakeTimers();
  told = [];
  watch = new WaitWatch({
    onWaiting: (reason) => {
      if (broken) throw new Error('broken');
      told.push(reason);
    },
    onMoving: () => {
      if (broken) throw new Error('broken');
      told.push('moving');
    },
    onError: (error) => told.push(String(error)),
  });
  return () => vi.useRealTimers();
});

afterEach(() => {
  watch.stop();
  expect(vi.getTimerCount()).toBe(0);
});

/** Waits and moves are judged at the end of the turn. */
function settle(): void {
  vi.advanceTimersByTime(0);
}

describe('a transfer waits', () => {
  it('when all its jobs do, for longer than a moment, and moves when one goes on', () => {
    watch.job();
    watch.job();
    const endFirst = watch.wait('relay');
    vi.advanceTimersByTime(10_000);
    expect(told).toEqual([]);
    const endSecond = watch.wait('relay');
    settle();
    vi.advanceTimersByTime(499);
    expect(told).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(told).toEqual(['relay']);
    endFirst();
    settle();
    expect(told).toEqual(['relay', 'moving']);
    endSecond();
    settle();
    expect(told).toEqual(['relay', 'moving']);
  });

  it('not when the wait is over within a moment', () => {
    watch.job();
    for (let go = 0; go < 10; go++) {
      const end = watch.wait('disk');
      vi.advanceTimersByTime(400);
      end();
      settle();
    }
    vi.advanceTimersByTime(10_000);
    expect(told).toEqual([]);
  });

  it('not without a job, and no longer when a new job begins', () => {
    vi.advanceTimersByTime(10_000);
    watch.job();
    watch.wait('offline');
    settle();
    vi.advanceTimersByTime(500);
    const end = watch.job();
    settle();
    expect(told).toEqual(['offline', 'moving']);
    end();
    settle();
    vi.advanceTimersByTime(500);
    expect(told).toEqual(['offline', 'moving', 'offline']);
  });

  it('still when it waits again at once, as after another failure', () => {
    watch.job();
    let end = watch.wait('relay');
    settle();
    vi.advanceTimersByTime(500);
    for (let failure = 0; failure < 5; failure++) {
      end();
      end = watch.wait('relay');
      settle();
    }
    expect(told).toEqual(['relay']);
  });

  it('for the reason, and after the failure, of the wait that began last, and tells when that changes', () => {
    const waits: unknown[] = [];
    const other = new WaitWatch({
      onWaiting: (reason, failure) => waits.push([reason, failure?.message]),
      onMoving: () => undefined,
      onError: (error) => waits.push(error),
    });
    other.job();
    other.job();
    const failure = { code: 'CONNECT_FAILED', kind: 'temporary', temporary: true } as const;
    other.wait('relay', { ...failure, message: 'One.' });
    other.wait('disk', { ...failure, message: 'Two.' });
    settle();
    vi.advanceTimersByTime(500);
    expect(waits).toEqual([['disk', 'Two.']]);
    const again = other.wait('relay', { ...failure, message: 'Three.' });
    settle();
    vi.advanceTimersByTime(500);
    expect(waits.slice(1)).toEqual([['relay', 'Three.']]);
    again();
    other.wait('relay', { ...failure, message: 'Three.' });
    settle();
    vi.advanceTimersByTime(10_000);
    expect(waits).toHaveLength(2);
    other.stop();
  });

  it('and says nothing after the end', () => {
    watch.job();
    watch.wait('relay');
    settle();
    watch.stop();
    vi.advanceTimersByTime(10_000);
    expect(told).toEqual([]);
  });
});

describe('who cannot take in that a transfer waits or moves', () => {
  it('is told again later, and the error is reported', () => {
    watch.job();
    const end = watch.wait('relay');
    broken = true;
    settle();
    vi.advanceTimersByTime(500);
    expect(told).toEqual(['Error: broken']);
    broken = false;
    vi.advanceTimersByTime(11_000);
    expect(told).toEqual(['Error: broken', 'relay']);
    broken = true;
    end();
    settle();
    expect(told.slice(2)).toEqual(['Error: broken']);
    broken = false;
    vi.advanceTimersByTime(11_000);
    expect(told.slice(3)).toEqual(['moving']);
  });
});
