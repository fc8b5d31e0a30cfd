import { expect, it } from 'vitest';

import { describeProblem } from '#src/relay/problem-reporter.js';
import { CallChannel, type Send } from '#src/relay/workers/call-channel.js';

interface Theirs {
  readonly later: (what: string) => Promise<string>;
  readonly fail: () => Promise<void>;
  readonly note: (what: string) => void;
}

/** Two ends, of which the second offers something to the first. */
function channels(offered: Theirs): { near: CallChannel<Theirs>; far: CallChannel<object> } {
  const ends: { receive: (message: unknown, socket: unknown) => void }[] = [];
  const sendTo =
    (end: number): Send =>
    (message, socket, done) => {
      setImmediate(() => {
        ends[end]?.receive(structuredClone(message), socket);
        done(null);
      });
    };
  const near = new CallChannel<Theirs>(sendTo(1), {});
  const far = new CallChannel<object>(sendTo(0), offered);
  ends.push(near, far);
  return { near, far };
}

it('each call gets its own answer, in whatever order they come', async () => {
  const answers = new Map<string, () => void>();
  const noted: string[] = [];
  const { near, far } = channels({
    later: (what) =>
      new Promise((resolve) =>
        answers.set(what, () => {
          resolve(`${what}!`);
        }),
      ),
    fail: () => Promise.resolve(),
    note: (what) => noted.push(what),
  });
  const ended: string[] = [];
  const calls = ['a', 'b', 'c'].map(async (what) => ended.push(await near.call('later', what)));
  near.tell('note', 'seen');
  await expect.poll(() => answers.size).toBe(3);
  for (const what of ['c', 'a', 'b']) answers.get(what)?.();
  await Promise.all(calls);
  await far.carriedOut();
  expect(ended).toEqual(['c!', 'a!', 'b!']);
  expect(noted).toEqual(['seen']);
});

it('a failure on the other side is told as the problem that it was there', async () => {
  const full = Object.assign(new Error('no room'), { code: 'ENOSPC' });
  const { near } = channels({
    later: () => Promise.resolve(''),
    fail: () => Promise.reject(full),
    note: () => undefined,
  });
  const error: unknown = await near.call('fail').catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(Error);
  expect(describeProblem(error)).toEqual(describeProblem(full));
  expect(describeProblem(full).kind).toBe('ENOSPC');
});

it('whoever waits for a process that has ended, or calls it after that, is told so', async () => {
  const { near } = channels({
    later: () => new Promise(() => undefined),
    fail: () => Promise.resolve(),
    note: () => undefined,
  });
  const waiting = near.call('later', 'never');
  near.close();
  await expect(waiting).rejects.toThrow('has ended before it answered');
  await expect(near.call('fail')).rejects.toThrow('has ended before it answered');
});
