import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { type FailureCode, XftpError } from '#src/protocol/index.js';
import { failing } from '../crypto/expected-failure.js';
import { deferred } from './channel-samples.js';
import { SERVER, settle, type StubPool, stubOf, stubPool } from './session-stubs.js';

const IDLE_MS = 1000;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** Uses a session of the unit until the end of the test; gives the session's number. */
function hold({ pool }: StubPool, unit: string, use: 'upload' | 'shared'): Promise<number> {
  const started = deferred<number>();
  const forEver = new Promise<never>(() => undefined);
  const work = (session: Parameters<typeof stubOf>[0]): Promise<never> => {
    started.resolve(stubOf(session).number);
    return forEver;
  };
  void pool.use(SERVER, use, work, { unit });
  return started.promise;
}

async function failUpload({ pool }: StubPool, unit: string, code: FailureCode): Promise<void> {
  const outcome = pool.use(SERVER, 'upload', () => Promise.reject(new XftpError(code, 'No.')), { unit });
  await expect(outcome).rejects.toThrow(failing(code));
  await settle();
}

it('units share no session, and each has its own random credentials for all its sessions', async () => {
  const stubs = stubPool({ sessionsPerServer: 2 });
  const sessions = await Promise.all([
    hold(stubs, 'a', 'upload'),
    hold(stubs, 'b', 'upload'),
    hold(stubs, 'a', 'upload'),
    hold(stubs, 'a', 'shared'),
    hold(stubs, 'b', 'shared'),
    hold(stubs, '', 'shared'),
  ]);
  // The third of a has a session with one of the uploads: there may be no more.
  expect(new Set(sessions).size).toBe(5);
  const told = sessions.map((number) => stubs.credentials[number - 1]);
  expect([told[2], told[3], told[4]]).toEqual([told[0], told[0], told[1]]);
  expect(new Set(told).size).toBe(3);
  for (const text of stubs.credentials) expect(text).toMatch(/^[\da-f]{32} [\da-f]{32}$/);
});

it('a unit gets new credentials when the network fails it, and keeps them when the relay refuses', async () => {
  const stubs = stubPool({ sessionsPerServer: 2 });
  await hold(stubs, 'a', 'upload');
  for (const code of ['CHUNK_GONE', 'STALLED', 'CHUNK_GONE'] as const) await failUpload(stubs, 'a', code);
  await hold(stubs, 'a', 'upload');
  expect(stubs.dials()).toBe(5);
  const [held, refused, stalled, next, last] = stubs.credentials;
  expect([refused, stalled, last]).toEqual([held, held, next]);
  expect(next).not.toBe(stalled);
});

it('a unit is forgotten, with its credentials, when it has no sessions any more', async () => {
  const stubs = stubPool({ idleMs: IDLE_MS });
  for (let turn = 1; turn <= 2; turn++) {
    await stubs.pool.use(SERVER, 'shared', () => Promise.resolve(), { unit: 'a' });
    await vi.advanceTimersByTimeAsync(IDLE_MS);
    await settle();
  }
  expect(new Set(stubs.credentials).size).toBe(2);
});
