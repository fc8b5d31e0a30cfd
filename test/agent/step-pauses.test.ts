import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { type Step, StepPauses } from '#src/agent/step-pauses.js';
import { XftpError } from '#src/protocol/index.js';
import { failing } from '../crypto/expected-failure.js';

const never = new AbortController().signal;
const reason = new XftpError('RELAY_TEMPORARY', 'Its disk is full.');
/** As documented beside the code: one second, doubled from failure to failure, five minutes at most. */
const [FIRST_MS, MAX_MS] = [1000, 300_000];

const one: Step = { owner: 'one', server: 'relay', name: 'upload 1' };
/** Each differs from the first in one thing. */
const others: readonly Step[] = [
  { ...one, owner: 'other' },
  { ...one, server: 'other' },
  { ...one, name: 'upload 2' },
];

let steps: StepPauses;

beforeEach(() => {
  vi.useFakeTimers();
  const start = Date.now();
  steps = new StepPauses({ now: () => Date.now(), monotonic: () => Date.now() - start });
});

afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

/** Waits for a step, and tells how long, in ms. */
async function waited(step: Step, onWait: () => () => void = () => () => undefined): Promise<number> {
  const start = Date.now();
  const waiting = steps.wait(step, never, onWait).then(() => Date.now() - start);
  await vi.advanceTimersByTimeAsync(MAX_MS);
  return await waiting;
}

describe('a step that fails', () => {
  it('waits for longer from failure to failure, and not at all after it worked', async () => {
    for (let failure = 0; failure < 12; failure++) {
      steps.failed(one, reason);
      const longest = Math.min(MAX_MS, FIRST_MS * 2 ** failure);
      const ms = await waited(one);
      expect(ms).toBeGreaterThanOrEqual(longest / 2);
      expect(ms).toBeLessThanOrEqual(longest);
    }
    steps.succeeded(one);
    expect(await waited(one)).toBe(0);
    steps.failed(one, reason);
    expect(await waited(one)).toBeLessThanOrEqual(FIRST_MS);
  });

  it('holds up no other one', async () => {
    for (let failure = 0; failure < 12; failure++) steps.failed(one, reason);
    for (const other of others) expect(await waited(other)).toBe(0);
  });

  it('tells that it waits, and why, and that it goes on', async () => {
    steps.failed(one, reason);
    const goOn = vi.fn();
    const onWait = vi.fn(() => goOn);
    const waiting = steps.wait(one, never, onWait);
    expect(onWait).toHaveBeenCalledExactlyOnceWith(reason);
    expect(goOn).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(FIRST_MS);
    await waiting;
    expect(goOn).toHaveBeenCalledTimes(1);
  });

  it('is tried at once when the network has changed, and waits no longer when it is stopped', async () => {
    steps.failed(one, reason);
    const waiting = steps.wait(one, never, () => () => undefined);
    steps.retry();
    await waiting;
    steps.failed(one, reason);
    const controller = new AbortController();
    const stopped = expect(steps.wait(one, controller.signal, () => () => undefined)).rejects.toThrow(
      failing('CANCELLED'),
    );
    controller.abort();
    await stopped;
  });

  it('is tried at once when its owner or its server is to be tried again, and only then', async () => {
    const all = [one, ...others];
    const stillWait = async (which: Partial<Step>): Promise<readonly Step[]> => {
      for (const step of all) steps.failed(step, reason);
      const waiting = new Set(all);
      const ends = all.map(async (step) => {
        await steps.wait(step, never, () => () => undefined);
        waiting.delete(step);
      });
      steps.retry(which);
      await vi.advanceTimersByTimeAsync(0);
      const left = [...waiting];
      await vi.advanceTimersByTimeAsync(MAX_MS);
      await Promise.all(ends);
      for (const step of left) steps.succeeded(step);
      return left;
    };
    expect(await stillWait({ owner: 'one' })).toEqual([others[0]]);
    expect(await stillWait({ server: 'relay' })).toEqual([others[1]]);
    expect(await stillWait({ server: 'nobody' })).toEqual(all);
    expect(await stillWait({})).toEqual([]);
  });
});
