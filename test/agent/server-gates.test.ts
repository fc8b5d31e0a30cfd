import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { type Passage, ServerGates } from '#src/agent/server-gates.js';
import { failing } from '../crypto/expected-failure.js';

const SERVER = 'xftp://one.example';
const never = new AbortController().signal;
/** As documented beside the code: one second, doubled from failure to failure, five minutes at most. */
const [FIRST_MS, MAX_MS] = [1000, 300_000];

let gates: ServerGates;
let changes: number;
let onChange: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  changes = 0;
  const start = Date.now();
  const clock = { now: () => Date.now(), monotonic: () => Date.now() - start };
  onChange = () => (changes += 1);
  gates = new ServerGates(clock, () => {
    onChange();
  });
});

afterEach(() => {
  gates.close();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

/** Closes the gate. */
async function fail(): Promise<void> {
  (await gates.pass(SERVER, never)).failed();
}

/** Waits, without moving the clock, until everybody who can go on has gone on. */
async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}

/** Waiters in the order of their coming, and those who have passed, in the order of their passing. */
function waiters(count: number): { passed: [number, Passage][]; abort: (index: number) => void } {
  const passed: [number, Passage][] = [];
  const controllers = Array.from({ length: count }, () => new AbortController());
  for (const [index, { signal }] of controllers.entries())
    void gates.pass(SERVER, signal).then(
      (passage) => passed.push([index, passage]),
      () => undefined,
    );
  return { passed, abort: (index) => controllers[index]?.abort() };
}

describe('an open gate', () => {
  it('lets everybody through, and those who were under way close it once', async () => {
    const passages = await Promise.all(Array.from({ length: 100 }, () => gates.pass(SERVER, never)));
    expect(passages.every(({ holds }) => holds())).toBe(true);
    for (const { failed } of passages) failed();
    expect(gates.status(SERVER)).toMatchObject({ gate: 'closed', failures: 1 });
    expect(passages.some(({ holds }) => holds())).toBe(false);
    expect(changes).toBe(1);
  });

  it('is one server’s', async () => {
    await fail();
    expect([gates.isOpen(SERVER), gates.isOpen('xftp://two.example')]).toEqual([false, true]);
    await gates.pass('xftp://two.example', never);
  });

  it('does not let through who has stopped', async () => {
    await expect(gates.pass(SERVER, AbortSignal.abort())).rejects.toThrow(failing('CANCELLED'));
  });
});

describe('a closed gate', () => {
  it('lets one probe at a time through, however many wait, and all in their order after a success', async () => {
    await fail();
    const { passed } = waiters(1000);
    await settle();
    expect(passed).toHaveLength(0);
    for (let probe = 1; probe <= 5; probe++) {
      await vi.advanceTimersByTimeAsync(MAX_MS);
      expect(passed.map(([index]) => index)).toEqual(Array.from({ length: probe }, (_, index) => index));
      expect(gates.status(SERVER).gate).toBe('probing');
      passed.at(-1)![1].failed();
      await settle();
      expect(passed).toHaveLength(probe);
    }
    await vi.advanceTimersByTimeAsync(MAX_MS);
    passed.at(-1)![1].succeeded();
    await settle();
    expect(passed.map(([index]) => index)).toEqual(Array.from({ length: 1000 }, (_, index) => index));
    expect(gates.isOpen(SERVER)).toBe(true);
  });

  it('stays closed for longer from failure to failure, within bounds, partly at random', async () => {
    const pauses: number[] = [];
    for (let failure = 0; failure < 14; failure++) {
      const longest = Math.min(MAX_MS, FIRST_MS * 2 ** failure);
      await fail();
      const { inMs = 0, failures } = gates.status(SERVER);
      expect(failures).toBe(failure + 1);
      expect(inMs).toBeGreaterThanOrEqual(longest / 2);
      expect(inMs).toBeLessThanOrEqual(longest);
      pauses.push(inMs / longest);
      let passed = false;
      const next = gates.pass(SERVER, never).then((passage) => {
        passed = true;
        passage.left();
      });
      await vi.advanceTimersByTimeAsync(inMs - 1);
      expect(passed).toBe(false);
      await vi.advanceTimersByTimeAsync(1);
      await next;
    }
    // All 14 alike happens once in 10^30 runs.
    expect(new Set(pauses).size).toBeGreaterThan(1);
  });

  it('starts from the shortest pause again after a success', async () => {
    for (let failure = 0; failure < 5; failure++) {
      await fail();
      await vi.advanceTimersByTimeAsync(MAX_MS);
    }
    (await gates.pass(SERVER, never)).succeeded();
    await fail();
    expect(gates.status(SERVER)).toMatchObject({ failures: 1 });
    expect(gates.status(SERVER).inMs).toBeLessThanOrEqual(FIRST_MS);
  });

  it('tells who waits once that it has to wait', async () => {
    const onWait = vi.fn();
    (await gates.pass(SERVER, never, { onWait })).failed();
    expect(onWait).not.toHaveBeenCalled();
    const waiting = gates.pass(SERVER, never, { onWait });
    await vi.advanceTimersByTimeAsync(MAX_MS);
    (await waiting).left();
    expect(onWait).toHaveBeenCalledTimes(1);
  });

  it('lets go who gives up after so many failures, and keeps the others', async () => {
    await fail();
    const first = waiters(2).passed;
    const givesUp = (): boolean => gates.status(SERVER).failures >= 3;
    const givenUp = expect(gates.pass(SERVER, never, { givesUp })).rejects.toThrow(failing('CONNECT_FAILED'));
    const patient = waiters(1).passed;
    for (let probe = 0; probe < 2; probe++) {
      await vi.advanceTimersByTimeAsync(MAX_MS);
      expect(first).toHaveLength(probe + 1);
      first[probe]![1].failed();
    }
    await givenUp;
    expect(patient).toEqual([]);
    await vi.advanceTimersByTimeAsync(MAX_MS);
    expect(patient).toHaveLength(1);
  });

  it('opens for a success of somebody who was under way when it closed', async () => {
    const [first, second] = [await gates.pass(SERVER, never), await gates.pass(SERVER, never)];
    first.failed();
    const { passed } = waiters(3);
    second.succeeded();
    await settle();
    expect(passed).toHaveLength(3);
  });
});

describe('a gate is never stuck', () => {
  it('when some of those who wait stop, before and while it opens', async () => {
    await fail();
    const { passed, abort } = waiters(10);
    for (const index of [0, 1, 2]) abort(index);
    await vi.advanceTimersByTimeAsync(MAX_MS);
    expect(passed.map(([index]) => index)).toEqual([3]);
    for (const index of [4, 5]) abort(index);
    passed[0]![1].succeeded();
    await settle();
    expect(passed.map(([index]) => index)).toEqual([3, 6, 7, 8, 9]);
  });

  it('when all who wait stop', async () => {
    await fail();
    const { passed, abort } = waiters(3);
    for (const index of [0, 1, 2]) abort(index);
    await vi.advanceTimersByTimeAsync(MAX_MS);
    expect(passed).toEqual([]);
    (await gates.pass(SERVER, never)).succeeded();
    expect(gates.isOpen(SERVER)).toBe(true);
  });

  it('when the one whose turn it is stops at that moment', async () => {
    await fail();
    const { passed, abort } = waiters(3);
    vi.advanceTimersByTime(MAX_MS);
    abort(0);
    await settle();
    // It may pass all the same; it has to tell that it left, as it always has.
    if (passed[0]?.[0] === 0) passed[0][1].left();
    await settle();
    expect(passed.at(-1)?.[0]).toBe(1);
  });

  it('when the probe leaves without an outcome: the next one follows at once', async () => {
    await fail();
    const { passed } = waiters(3);
    await vi.advanceTimersByTimeAsync(MAX_MS);
    for (let probe = 0; probe < 3; probe++) {
      expect(passed).toHaveLength(probe + 1);
      passed[probe]![1].left();
      await settle();
    }
    expect(gates.status(SERVER)).toMatchObject({ gate: 'closed', failures: 1 });
  });

  it('when an outcome is told twice: the first one counts', async () => {
    await fail();
    const { passed } = waiters(2);
    await vi.advanceTimersByTimeAsync(MAX_MS);
    const [, probe] = passed[0]!;
    probe.left();
    await settle();
    expect(passed).toHaveLength(2);
    probe.failed();
    probe.succeeded();
    expect(gates.status(SERVER)).toMatchObject({ gate: 'probing', failures: 1 });
  });
});

describe('a waiter that cannot say whether it gives up', () => {
  /** The first one to wait: it looks whether the server is back while others come. */
  async function probe(): Promise<Passage> {
    await fail();
    const { passed } = waiters(1);
    await vi.advanceTimersByTimeAsync(MAX_MS);
    return passed[0]![1];
  }

  it('fails with its own error, and the others wait for the next probe', async () => {
    const { failed } = await probe();
    const broken = new Error('The database cannot be read.');
    const givesUp = (): never => {
      throw broken;
    };
    const outcome = expect(gates.pass(SERVER, never, { givesUp })).rejects.toBe(broken);
    const { passed } = waiters(2);
    failed();
    await outcome;
    await vi.advanceTimersByTimeAsync(MAX_MS);
    expect(passed.map(([index]) => index)).toEqual([0]);
  });

  it('keeps nobody from being woken, nor does who is told of the gate', async () => {
    const { failed } = await probe();
    const { passed } = waiters(1);
    onChange = () => {
      throw new Error('The log cannot be written.');
    };
    expect(failed).toThrow('The log cannot be written.');
    await vi.advanceTimersByTimeAsync(MAX_MS);
    expect(passed).toHaveLength(1);
  });
});

describe('without a network', () => {
  it('nobody passes, and all do when it is back', async () => {
    const early = await gates.pass(SERVER, never);
    gates.setShut(true);
    expect([gates.isOpen(SERVER), early.holds()]).toEqual([false, false]);
    const { passed } = waiters(5);
    await vi.advanceTimersByTimeAsync(MAX_MS);
    expect(passed).toEqual([]);
    gates.setShut(false);
    await settle();
    expect(passed.map(([index]) => index)).toEqual([0, 1, 2, 3, 4]);
  });

  it('a closed gate stays closed over its time, and is tried at once when the network is back', async () => {
    for (let failure = 0; failure < 8; failure++) {
      await fail();
      await vi.advanceTimersByTimeAsync(MAX_MS);
    }
    await fail();
    const { passed } = waiters(5);
    gates.setShut(true);
    await vi.advanceTimersByTimeAsync(2 * MAX_MS);
    expect(passed).toEqual([]);
    gates.setShut(false);
    await settle();
    expect(passed.map(([index]) => index)).toEqual([0]);
    passed[0]![1].succeeded();
    await settle();
    expect(passed).toHaveLength(5);
  });

  it('a success of somebody under way lets nobody through', async () => {
    const passage = await gates.pass(SERVER, never);
    gates.setShut(true);
    const { passed } = waiters(2);
    passage.succeeded();
    await settle();
    expect(passed).toEqual([]);
  });
});

describe('when everything is to be tried again', () => {
  it('one probe for each closed gate passes at once, and the pauses start small', async () => {
    for (let failure = 0; failure < 8; failure++) {
      await fail();
      await vi.advanceTimersByTimeAsync(MAX_MS);
    }
    await fail();
    const { passed } = waiters(3);
    gates.retryAll();
    await settle();
    expect(passed.map(([index]) => index)).toEqual([0]);
    passed[0]![1].failed();
    expect(gates.status(SERVER)).toMatchObject({ failures: 2 });
    expect(gates.status(SERVER).inMs).toBeLessThanOrEqual(2 * FIRST_MS);
  });

  it('a probe that is under way stays the only one', async () => {
    await fail();
    const { passed } = waiters(3);
    await vi.advanceTimersByTimeAsync(MAX_MS);
    gates.retryAll();
    await settle();
    expect(passed).toHaveLength(1);
  });
});
