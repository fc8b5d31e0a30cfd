import { describe, expect, it } from 'vitest';

import { type LineTerminal, ProgressLine } from '#src/cli/progress-line.js';
import { SpeedMeter } from '#src/cli/speed-meter.js';

const MIB = 1024 * 1024;

/** What a line shows at each of these moments: time in seconds, MiB done of 1000. */
function linesAt(moments: readonly (readonly [seconds: number, mebibytes: number])[]): string[] {
  const lines: string[] = [];
  const terminal: LineTerminal = {
    columns: 133,
    write: (text: string | Uint8Array): boolean => {
      lines.push(String(text).replace('\r\u001b[2K', ''));
      return true;
    },
  };
  const line = new ProgressLine('Uploading', terminal);
  for (const [seconds, mebibytes] of moments)
    line.update({ done: mebibytes * MIB, total: 1000 * MIB }, seconds * 1000);
  return lines;
}

/** The speed in bytes per second after these samples: time in seconds, bytes done. */
function speedAfter(samples: readonly (readonly [seconds: number, done: number])[]): number | undefined {
  const meter = new SpeedMeter();
  for (const [seconds, done] of samples) meter.add(done, seconds * 1000);
  return meter.speed;
}

describe('The progress line', () => {
  it('shows no speed and no time left before there is something to base them on', () => {
    expect(
      linesAt([
        [0, 0],
        [30, 1],
        [30.5, 6],
      ]),
    ).toEqual([
      'Uploading 0 bytes of 1000.0 MiB (0 %)',
      'Uploading 1.0 MiB of 1000.0 MiB (0 %)',
      'Uploading 6.0 MiB of 1000.0 MiB (0 %)',
    ]);
  });

  it('is right about both from then on, however long the connection took', () => {
    expect(
      linesAt([
        [0, 0],
        [30, 10],
        [31, 20],
        [32, 30],
      ]).slice(2),
    ).toEqual([
      'Uploading 20.0 MiB of 1000.0 MiB (2 %), 10.0 MiB/s, 1 min 38 s left',
      'Uploading 30.0 MiB of 1000.0 MiB (3 %), 10.0 MiB/s, 1 min 37 s left',
    ]);
  });

  it('has no time left to show when nothing moves, or when all has moved', () => {
    const lines = linesAt([
      [1, 10],
      [3, 10],
      [200, 1000],
    ]);
    expect(lines.slice(1)).toEqual([
      'Uploading 10.0 MiB of 1000.0 MiB (1 %), 0 bytes/s',
      expect.stringMatching(/^Uploading 1000\.0 MiB of 1000\.0 MiB \(100 %\), \d+\.\d MiB\/s$/),
    ]);
  });
});

describe('The speed', () => {
  it('is that of the last seconds', () => {
    const fast = Array.from({ length: 10 }, (_, second) => [second, 1 + second * 1000] as const);
    expect(speedAfter(fast)).toBe(1000);
    const slow = Array.from({ length: 6 }, (_, second) => [10 + second, 9001 + second * 10] as const);
    expect(speedAfter([...fast, ...slow])).toBe(10);
  });

  it('counts a pause', () => {
    expect(
      speedAfter([
        [0, 1],
        [1, 1001],
        [100, 2001],
      ]),
    ).toBeCloseTo(10.1, 1);
  });

  it('does not fall when bytes have to be moved again', () => {
    expect(
      speedAfter([
        [0, 1],
        [1, 1001],
        [2, 501],
        [3, 1501],
      ]),
    ).toBeCloseTo(2000 / 3, 5);
  });
});
