import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { WaitWatch } from '#src/agent/wait-watch.js';

let told: string[];
let watch: WaitWatch;

beforeEach(() => {
  vi.useFakeTimers();
  told = [];
  watch = new WaitWatch(
    (reason) => told.push(reason),
    () => told.push('moving'),
  );
  return () => vi.useRealTimers();
});

afterEach(() => {
  watch.stop();
  expect(vi.getTimerCount()).toBe(0);
});

describe('a transfer waits', () => {
  it('when all its jobs do, for longer than a moment, and moves when one goes on', () => {
    watch.job();
    watch.job();
    const endFirst = watch.wait('relay');
    vi.advanceTimersByTime(10_000);
    expect(told).toEqual([]);
    const endSecond = watch.wait('relay');
    vi.advanceTimersByTime(499);
    expect(told).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(told).toEqual(['relay']);
    endFirst();
    expect(told).toEqual(['relay', 'moving']);
    endSecond();
    expect(told).toEqual(['relay', 'moving']);
  });

  it('not when the wait is over within a moment', () => {
    watch.job();
    for (let go = 0; go < 10; go++) {
      const end = watch.wait('disk');
      vi.advanceTimersByTime(400);
      end();
    }
    vi.advanceTimersByTime(10_000);
    expect(told).toEqual([]);
  });

  it('not without a job, and no longer when a new job begins', () => {
    vi.advanceTimersByTime(10_000);
    watch.job();
    watch.wait('offline');
    vi.advanceTimersByTime(500);
    const end = watch.job();
    expect(told).toEqual(['offline', 'moving']);
    end();
    vi.advanceTimersByTime(500);
    expect(told).toEqual(['offline', 'moving', 'offline']);
  });

  it('and says nothing after the end', () => {
    watch.job();
    watch.wait('relay');
    watch.stop();
    vi.advanceTimersByTime(10_000);
    expect(told).toEqual([]);
  });
});
