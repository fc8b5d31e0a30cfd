import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { isXftpError } from '../protocol/index.js';
import { cancelled } from '../transport/index.js';

/** First pause between two tries, in milliseconds. It doubles from try to try. */
const FIRST_PAUSE_MS = 500;
/** Longest pause, in milliseconds: someone is waiting in front of the program. */
const MAX_PAUSE_MS = 10_000;

/**
 * Runs a step, again if it fails in a way that a repetition may mend: temporarily, or with corrupt bytes.
 * Pauses between the tries grow, and half of each is random, so that many steps do not come back at once.
 *
 * @param attempts number of tries in all, at least 1
 * @throws the failure of the last try
 */
export async function withRetries<T>(
  attempts: number,
  step: () => Promise<T>,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await step();
    } catch (error) {
      if (attempt >= attempts || !isXftpError(error) || !(error.temporary || error.kind === 'corrupt'))
        throw error;
      await pause(attempt, signal);
    }
  }
}

async function pause(attempt: number, signal: AbortSignal | undefined): Promise<void> {
  const longest = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1));
  try {
    await sleep(longest / 2 + randomInt(longest / 2), undefined, signal === undefined ? {} : { signal });
  } catch {
    throw cancelled();
  }
}
