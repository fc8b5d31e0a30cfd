import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { type Racer, ReplicaRace } from '#src/agent/replica-race.js';

/** As documented beside the code. */
const STILL_MS = 5000;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

/** Moves once, then stands still until the race is over. */
async function standStill({ moved, signal }: Racer): Promise<void> {
  moved();
  await new Promise((_, reject) => {
    signal.addEventListener('abort', () => {
      reject(new Error('It is stopped.'));
    });
  });
}

describe('a race', () => {
  it('is won by the rival of one that stands still', async () => {
    const race = new ReplicaRace(new AbortController().signal);
    const written = vi.fn(() => Promise.resolve());
    const won = race.run(
      standStill,
      () =>
        ({ finish }) =>
          finish(written),
    );
    await vi.advanceTimersByTimeAsync(STILL_MS);
    expect(await won).toBe(true);
    expect(written).toHaveBeenCalledTimes(1);
  });

  it('fails, and nothing else does, when a rival cannot be looked for', async () => {
    const race = new ReplicaRace(new AbortController().signal);
    const broken = new Error('The database cannot be read.');
    const outcome = expect(
      race.run(standStill, () => {
        throw broken;
      }),
    ).rejects.toBe(broken);
    await vi.advanceTimersByTimeAsync(STILL_MS);
    await outcome;
  });
});
