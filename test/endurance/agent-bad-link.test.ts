import { describe, expect, it } from 'vitest';

import { overBadLink } from '../faults/bad-link-samples.js';

const KIB = 1024;

describe('A link that breaks before a chunk has got through', () => {
  it('carries a file both ways in chunks that fit between two breaks, each of them once', async () => {
    // As much gets through between two breaks as in 30 s at 20 KB/s, less the round trips; the time is much shorter.
    const figures = { bytesPerSecond: 4_000_000, roundTripMs: 10, cutEvery: { bytes: 480_000 } };
    const outcome = await overBadLink(figures, { firstMs: 20, longestMs: 60 });
    expect(Math.max(...outcome.sizes)).toBeLessThanOrEqual(256 * KIB);
    // The whole does not fit between fewer breaks.
    expect(outcome.sendCuts).toBeGreaterThan(8);
    expect(outcome.receiveCuts).toBeGreaterThan(8);
  });
});
