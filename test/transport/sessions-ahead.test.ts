import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { deferred } from './channel-samples.js';
import { begin, settle, stubPool } from './session-stubs.js';

const IDLE_MS = 1000;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe('what uploads follow', () => {
  it('opens sessions for all of them meanwhile, as many as there may be', async () => {
    const dialled = deferred();
    const stubs = stubPool({ sessionsPerServer: 3 }, () => dialled.promise);
    const before = Array.from({ length: 5 }, () => begin(stubs, 'before-upload'));
    await settle();
    expect(stubs.dials()).toBe(3);
    dialled.resolve();
    for (const { end } of before) end.resolve();
    await Promise.all(before.map(({ outcome }) => outcome));
    const uploads = [begin(stubs, 'upload'), begin(stubs, 'upload'), begin(stubs, 'upload')];
    expect(new Set(await Promise.all(uploads.map(({ started }) => started)))).toEqual(new Set([1, 2, 3]));
    expect(stubs.dials()).toBe(3);
  });

  it('needs no other session when there is one for its upload', async () => {
    const stubs = stubPool({ sessionsPerServer: 3 });
    const connecting = begin(stubs, 'shared');
    await connecting.started;
    const before = begin(stubs, 'before-upload');
    expect(await before.started).toBe(1);
    before.end.resolve();
    await before.outcome;
    expect(await begin(stubs, 'upload').started).toBe(1);
    expect(await begin(stubs, 'before-upload').started).toBe(2);
    expect(stubs.dials()).toBe(2);
  });

  it('waits for the dial that has been under way longest', async () => {
    const dials = [deferred(), deferred(), deferred()];
    const stubs = stubPool({ sessionsPerServer: 3 }, (_, number) => dials[number - 1]!.promise);
    const uses = [begin(stubs, 'shared'), begin(stubs, 'before-upload'), begin(stubs, 'before-upload')];
    await settle();
    dials[0]!.resolve();
    expect(await Promise.all(uses.map(({ started }) => started))).toEqual([1, 1, 1]);
  });

  it('leaves no session open that nobody used', async () => {
    const stubs = stubPool({ sessionsPerServer: 3, idleMs: IDLE_MS });
    const before = [begin(stubs, 'before-upload'), begin(stubs, 'before-upload')];
    await settle();
    expect(stubs.open()).toHaveLength(2);
    for (const { end } of before) end.resolve();
    await vi.advanceTimersByTimeAsync(IDLE_MS);
    expect(stubs.open()).toHaveLength(0);
  });
});
