import { describe, expect, it } from 'vitest';

import { type Crossing, PathWidth } from '#src/agent/path-width.js';
import { type FakeClock, fakeClock } from './agent-samples.js';

/** A way of 100 bytes per ms on which each chunk alone gets at most 100 / `useful` of them. */
function rounds(path: PathWidth, clock: FakeClock, useful: number): (count?: number) => void {
  return (count = 1) => {
    for (let round = 0; round < count; round++)
      // As many as the width takes, all at the same time, then the next ones.
      for (let wave = 0; wave < 2; wave++) {
        const crossings = Array.from({ length: path.width }, () => path.begin());
        clock.advance(Math.max(1, crossings.length / useful) * 1000);
        for (const crossing of crossings) crossing.arrived(100_000);
      }
  };
}

/** Chunks on the way, as many as it takes. */
function fill(path: PathWidth): Crossing[] {
  return Array.from({ length: path.width }, () => path.begin());
}

function breakAll(path: PathWidth): void {
  for (const crossing of fill(path)) crossing.lost();
}

describe('the width of a way', () => {
  it('is as much as there may be until the way breaks, whatever gets through', () => {
    const clock = fakeClock();
    const path = new PathWidth(clock, 4);
    rounds(path, clock, 1)(20);
    expect(path.width).toBe(4);
  });

  it('is halved by a break, once for all chunks that were on the way, and is never less than 1', () => {
    const path = new PathWidth(fakeClock(), 7);
    const widths = [path.width];
    for (let count = 0; count < 4; count++) {
      breakAll(path);
      widths.push(path.width);
    }
    expect(widths).toEqual([7, 3, 1, 1, 1]);
  });

  it('is not changed by chunks that were stopped', () => {
    const path = new PathWidth(fakeClock(), 4);
    for (const crossing of fill(path)) crossing.left();
    expect(path.width).toBe(4);
  });

  it('counts the first word about a chunk only', () => {
    const path = new PathWidth(fakeClock(), 4);
    const crossing = path.begin();
    crossing.left();
    crossing.lost();
    expect(path.width).toBe(4);
  });

  it('grows again to the most when more at once carry more', () => {
    const clock = fakeClock();
    const path = new PathWidth(clock, 4);
    breakAll(path);
    breakAll(path);
    const widths = [path.width];
    const round = rounds(path, clock, 8);
    while (path.width < 4) {
      round();
      widths.push(path.width);
    }
    expect(widths).toEqual([1, 2, 3, 4]);
    round(5);
    expect(path.width).toBe(4);
  });

  it('stays where more at once carry no more, and tries less and less often', () => {
    const clock = fakeClock();
    const path = new PathWidth(clock, 4);
    breakAll(path);
    breakAll(path);
    const round = rounds(path, clock, 1);
    const widths: number[] = [];
    for (let count = 0; count < 40; count++) {
      round();
      widths.push(path.width);
    }
    expect(Math.max(...widths)).toBe(2);
    // 1 round, then 2, 4, 8 and 8 ones before the next try.
    const tries = widths.flatMap((width, index) => (width === 2 ? [index] : []));
    expect(tries).toEqual([0, 3, 8, 17, 26, 35]);
  });

  it('tries later again when the try for one more ended in a break', () => {
    const clock = fakeClock();
    const path = new PathWidth(clock, 2);
    breakAll(path);
    const round = rounds(path, clock, 8);
    round();
    expect(path.width).toBe(2);
    breakAll(path);
    round();
    expect(path.width).toBe(1);
    round();
    expect(path.width).toBe(2);
  });

  it('does not grow on the word of fewer chunks than it has places for', () => {
    const clock = fakeClock();
    const path = new PathWidth(clock, 8);
    breakAll(path);
    for (let count = 0; count < 40; count++) {
      const crossing = path.begin();
      clock.advance(1000);
      crossing.arrived(100_000);
    }
    expect(path.width).toBe(4);
  });

  it('follows a new most at once: up when the way never broke, down always', () => {
    const path = new PathWidth(fakeClock(), 4);
    path.setMost(6);
    expect(path.width).toBe(6);
    breakAll(path);
    path.setMost(8);
    expect(path.width).toBe(3);
    path.setMost(2);
    expect(path.width).toBe(2);
  });
});

describe('a chunk on its way', () => {
  it('is alone if the way is new or broke, and no other one comes until it ends', () => {
    const path = new PathWidth(fakeClock(), 4);
    const first = path.begin();
    expect(first.isAlone()).toBe(true);
    const second = path.begin();
    second.left();
    expect([first.isAlone(), second.isAlone()]).toEqual([false, false]);
    first.lost();
    const third = path.begin();
    third.arrived(1);
    expect([third.isAlone(), path.begin().isAlone()]).toEqual([true, false]);
  });
});
