import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { ProgressEvent } from '#src/agent/model.js';
import { ProgressTracker } from '#src/agent/progress-tracker.js';

const MB = 1_000_000;
let events: ProgressEvent[];
let progress: ProgressTracker;

beforeEach(() => {
  vi.useFakeTimers();
  events = [];
  const start = Date.now();
  const clock = { now: () => Date.now(), monotonic: () => Date.now() - start };
  progress = new ProgressTracker(clock, (event) => events.push(event));
  return () => vi.useRealTimers();
});

afterEach(() => {
  progress.stop();
  expect(vi.getTimerCount()).toBe(0);
});

const last = (): ProgressEvent['data'] => events.at(-1)!.data;

/** Moves a chunk of many small pieces, so many bytes in a second. */
function move({
  seconds,
  bytesPerSecond,
  from = 0,
}: {
  seconds: number;
  bytesPerSecond: number;
  from?: number;
}): void {
  for (let step = 1; step <= seconds * 100; step++) {
    progress.moving('one', 1, from + (step * bytesPerSecond) / 100);
    vi.advanceTimersByTime(10);
  }
}

describe('the progress of a transfer', () => {
  it('is told at most four times a second, and not when nothing has moved', () => {
    progress.update('one', { state: 'uploading', total: 100 * MB, done: 0 });
    move({ seconds: 5, bytesPerSecond: MB });
    expect(events.length).toBeGreaterThan(15);
    expect(events.length).toBeLessThanOrEqual(20);
    for (const [index, { at }] of events.entries())
      if (index > 0) expect(at - events[index - 1]!.at).toBeGreaterThanOrEqual(250);
    const before = events.length;
    vi.advanceTimersByTime(10_000);
    expect(events.length).toBeLessThanOrEqual(before + 1);
  });

  it('has a speed that is steady and follows a change within seconds, and a time that is left', () => {
    progress.update('one', { state: 'downloading', total: 100 * MB, done: 10 * MB });
    move({ seconds: 10, bytesPerSecond: MB });
    expect(last()).toMatchObject({ state: 'downloading', bytesTotal: 100 * MB, bytesDone: 20 * MB });
    expect(last().bytesPerSecond / MB).toBeCloseTo(1, 1);
    expect(last().secondsLeft).toBeGreaterThan(75);
    expect(last().secondsLeft).toBeLessThan(85);
    move({ seconds: 0.25, bytesPerSecond: 10 * MB, from: 10 * MB });
    expect(last().bytesPerSecond).toBeLessThan(3 * MB);
    move({ seconds: 10, bytesPerSecond: 2 * MB, from: 12.5 * MB });
    expect(last().bytesPerSecond / MB).toBeCloseTo(2, 0);
  });

  it('is never more than all, and does not count a chunk twice', () => {
    progress.update('one', { state: 'uploading', total: 1000, done: 900 });
    progress.moving('one', 1, 5000);
    vi.advanceTimersByTime(250);
    expect(last().bytesDone).toBe(1000);
    expect(last().secondsLeft).toBe(0);
    progress.moving('one', 1, 0);
    progress.update('one', { state: 'uploading', total: 2000, done: 1000 });
    progress.moving('one', 2, 10);
    vi.advanceTimersByTime(250);
    expect(last().bytesDone).toBe(1010);
  });

  it('has no time left to tell before anything has moved', () => {
    progress.update('one', { state: 'uploading', total: 1000, done: 500 });
    vi.advanceTimersByTime(1000);
    expect(events).toHaveLength(1);
    expect(last()).toEqual({ state: 'uploading', bytesDone: 500, bytesTotal: 1000, bytesPerSecond: 0 });
  });

  it('is not told after the end, nor of transfers that did not begin', () => {
    progress.update('one', { state: 'uploading', total: 1000, done: 0 });
    progress.moving('one', 1, 100);
    progress.end('one');
    progress.moving('one', 1, 200);
    progress.moving('two', 1, 200);
    progress.end('two');
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(10_000);
    expect(events).toEqual([]);
  });

  it('of several transfers is told for each', () => {
    for (const id of ['one', 'two', 'three'])
      progress.update(id, { state: 'uploading', total: 1000, done: 0 });
    for (const [index, id] of ['one', 'two', 'three'].entries()) progress.moving(id, 1, index + 1);
    progress.end('two');
    vi.advanceTimersByTime(250);
    expect(events.map(({ transferId, data }) => [transferId, data.bytesDone])).toEqual([
      ['one', 1],
      ['three', 3],
    ]);
  });
});
