import { setTimeout as delay } from 'node:timers/promises';

/** Milliseconds before the first attempt to connect again. */
const FIRST_PAUSE = 100;
/** Longest pause, in ms: an agent that was started again is found soon. */
const LONGEST_PAUSE = 10_000;

/** Growing pauses between attempts. */
export interface BackOff {
  /** Waits; returns at once when the signal aborts. */
  readonly pause: (signal: AbortSignal) => Promise<void>;
  /** An attempt succeeded: the next pause is short again. */
  readonly reset: () => void;
}

/** Pauses that double, each cut by a random part up to a half so that clients do not come all at once. */
export function createBackOff(random: () => number = Math.random): BackOff {
  let attempts = 0;
  return {
    pause: async (signal) => {
      const longest = Math.min(FIRST_PAUSE * 2 ** attempts, LONGEST_PAUSE);
      attempts += 1;
      await delay(longest * (1 - random() / 2), undefined, { signal }).catch(() => undefined);
    },
    reset: () => {
      attempts = 0;
    },
  };
}
