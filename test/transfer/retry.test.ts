import { beforeEach, describe, expect, it, vi } from 'vitest';

import { FAILURE_CODES, failureKind, XftpError } from '#src/protocol/index.js';
import { withRetries } from '#src/transfer/retry.js';
import { failing } from '../crypto/expected-failure.js';

/** Pauses asked for, in milliseconds. They take no time here. */
const pauses = vi.hoisted((): number[] => []);

vi.mock('node:timers/promises', () => ({
  setTimeout: (ms: number, _: unknown, { signal }: { signal?: AbortSignal } = {}) => {
    pauses.push(ms);
    return signal?.aborted === true ? Promise.reject(new Error('aborted')) : Promise.resolve();
  },
}));

beforeEach(() => {
  pauses.length = 0;
});

/** Fails so many times, then succeeds. */
function failingTimes(times: number, error: unknown): () => Promise<number> {
  let calls = 0;
  return () => {
    calls += 1;
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- foreign code throws anything
    return calls <= times ? Promise.reject(error) : Promise.resolve(calls);
  };
}

const lost = new XftpError('CONNECTION_LOST', 'The connection was lost.');

describe('a step with retries', () => {
  it('runs once when it succeeds', async () => {
    expect(await withRetries(5, failingTimes(0, lost))).toBe(1);
    expect(pauses).toStrictEqual([]);
  });

  it('runs again until it succeeds', async () => {
    expect(await withRetries(5, failingTimes(4, lost))).toBe(5);
    expect(pauses).toHaveLength(4);
  });

  it('fails with its last failure when the tries are used up', async () => {
    const step = vi.fn(failingTimes(9, lost));
    await expect(withRetries(3, step)).rejects.toBe(lost);
    expect(step).toHaveBeenCalledTimes(3);
    expect(pauses).toHaveLength(2);
  });

  it('runs once when one try is all there is', async () => {
    await expect(withRetries(1, failingTimes(1, lost))).rejects.toBe(lost);
    expect(pauses).toStrictEqual([]);
  });

  it('pauses twice as long from try to try up to ten seconds, half of each at random', async () => {
    for (let round = 0; round < 20; round++)
      await expect(withRetries(9, failingTimes(9, lost))).rejects.toBe(lost);
    const longest = [500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000];
    for (const [index, pause] of pauses.entries()) {
      const most = longest[index % 8] ?? 0;
      expect(pause).toBeGreaterThanOrEqual(most / 2);
      expect(pause).toBeLessThan(most);
    }
    expect(new Set(pauses).size).toBeGreaterThan(20);
  });

  it.each(FAILURE_CODES)('runs again after %s only if a repetition may mend it', async (code) => {
    const failure = new XftpError(code, 'It failed.');
    const mendable = ['temporary', 'corrupt'].includes(failureKind(code));
    const outcome = withRetries(2, failingTimes(1, failure));
    if (mendable) expect(await outcome).toBe(2);
    else await expect(outcome).rejects.toBe(failure);
  });

  it('does not run again after an error that is none of the project', async () => {
    const error = new TypeError('bug');
    await expect(withRetries(5, failingTimes(1, error))).rejects.toBe(error);
  });

  it('is CANCELLED when it is aborted during a pause', async () => {
    const abort = new AbortController();
    const step = vi.fn(() => {
      abort.abort();
      return Promise.reject(lost);
    });
    await expect(withRetries(5, step, { signal: abort.signal })).rejects.toThrow(failing('CANCELLED'));
    expect(step).toHaveBeenCalledTimes(1);
  });
});
