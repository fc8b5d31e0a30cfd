import { describe, expect, it } from 'vitest';

import { bothPaces, Pace, type Pacing } from '#src/transport/pace.js';

const KB = 1000;
const SECOND = 1000;

/** Requests that move pieces as soon as they may, on a clock that jumps from one piece to the next. */
class Requests {
  readonly moved: { readonly at: number; readonly bytes: number }[] = [];
  #now = 0;
  readonly #due: { at: number; readonly pace: Pacing; bytes: number }[] = [];

  readonly now = (): number => this.#now;

  /** One more that begins now, and counts a piece before it moves. */
  add(pace: Pacing): void {
    const bytes = pace.pieceSize(64 * 1024);
    this.#due.push({ at: this.#now + pace.spend(bytes), pace, bytes });
  }

  /** Lets time pass. */
  run(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const next = this.#due.sort((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > end) break;
      this.#now = Math.max(this.#now, next.at);
      this.moved.push({ at: this.#now, bytes: next.bytes });
      next.bytes = next.pace.pieceSize(64 * 1024);
      next.at = this.#now + next.pace.spend(next.bytes);
    }
    this.#now = end;
  }

  /** Ends them all. */
  stop(): void {
    this.#due.length = 0;
  }

  bytes(from: number, to: number): number {
    return this.moved.filter(({ at }) => at >= from && at < to).reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Most bytes in any span of this length. */
  most(ms: number): number {
    let [most, sum, first] = [0, 0, 0];
    for (const { at, bytes } of this.moved) {
      sum += bytes;
      for (; (this.moved[first]?.at ?? at) <= at - ms; first += 1) sum -= this.moved[first]?.bytes ?? 0;
      most = Math.max(most, sum);
    }
    return most;
  }
}

/** Within 5 %. */
function expectRate(bytes: number, expected: number): void {
  expect(bytes / expected).toBeGreaterThan(0.95);
  expect(bytes / expected).toBeLessThan(1.05);
}

describe('A rate', () => {
  it.each([
    [50 * KB, 1],
    [50 * KB, 16],
    [2000 * KB, 1],
    [2000 * KB, 16],
    [50_000 * KB, 16],
  ])(
    'of %i bytes per second for %i requests at once holds within five hundredths over 10 seconds',
    (rate, count) => {
      const requests = new Requests();
      const pace = new Pace(rate, { now: requests.now });
      requests.run(5 * SECOND);
      for (let index = 0; index < count; index += 1) requests.add(pace);
      requests.run(20 * SECOND);
      expectRate(requests.bytes(5 * SECOND, 15 * SECOND), 10 * rate);
      // In whichever 10 seconds one looks.
      expect(requests.most(10 * SECOND)).toBeLessThan(10.5 * rate);
    },
  );

  it('is no higher after a minute without a request', () => {
    const requests = new Requests();
    const pace = new Pace(200 * KB, { now: requests.now });
    requests.add(pace);
    requests.run(2 * SECOND);
    requests.stop();
    requests.run(60 * SECOND);
    for (let index = 0; index < 8; index += 1) requests.add(pace);
    requests.run(10 * SECOND);
    expectRate(requests.bytes(62 * SECOND, 72 * SECOND), 2000 * KB);
    expect(requests.bytes(62 * SECOND, 63 * SECOND)).toBeLessThan(1.2 * 200 * KB);
  });

  it('changes at once, and does not begin anew when it is set to what it is', () => {
    const requests = new Requests();
    const pace = new Pace(100 * KB, { now: requests.now });
    for (let index = 0; index < 4; index += 1) requests.add(pace);
    for (let index = 0; index < 100; index += 1) {
      pace.setRate(100 * KB);
      requests.run(0.1 * SECOND);
    }
    expectRate(requests.bytes(0, 10 * SECOND), 1000 * KB);
    pace.setRate(300 * KB);
    requests.run(10 * SECOND);
    expectRate(requests.bytes(10 * SECOND, 20 * SECOND), 3000 * KB);
    pace.setRate(undefined);
    expect([pace.spend(1e9), pace.pieceSize(1e6)]).toEqual([0, 1e6]);
  });

  it('moves no more at once than it may, with a limit and without', () => {
    const all = new Pace(undefined, { largestPiece: 64 * KB });
    const pieces = [undefined, 100 * KB, 50_000 * KB].map((rate) =>
      bothPaces(new Pace(rate), all).pieceSize(1000 * KB),
    );
    expect(pieces).toEqual([64 * KB, 10 * KB, 64 * KB]);
    expect(all.pieceSize(KB)).toBe(KB);
  });

  it('of one transfer holds beside the rate of all', () => {
    const requests = new Requests();
    const all = new Pace(500 * KB, { now: requests.now });
    const slow = bothPaces(new Pace(100 * KB, { now: requests.now }), all);
    const free = bothPaces(new Pace(undefined, { now: requests.now }), all);
    expect([slow.rate, free.rate, bothPaces(new Pace(), new Pace()).rate]).toEqual([
      100 * KB,
      500 * KB,
      undefined,
    ]);
    for (let index = 0; index < 4; index += 1) requests.add(slow);
    requests.run(10 * SECOND);
    expectRate(requests.bytes(0, 10 * SECOND), 1000 * KB);
    for (let index = 0; index < 4; index += 1) requests.add(free);
    requests.run(10 * SECOND);
    expectRate(requests.bytes(10 * SECOND, 20 * SECOND), 5000 * KB);
  });
});
