import { expect, it } from 'vitest';

import { overBadLink } from '../faults/bad-link-samples.js';

const KIB = 1024;

it(
  '3 MiB go over a link of 20 KB/s with round trips of 2 s that breaks every 30 s',
  { timeout: 3600_000 },
  async () => {
    const outcome = await overBadLink({
      bytesPerSecond: 20_000,
      roundTripMs: 2000,
      cutEvery: { ms: 30_000 },
    });
    expect(Math.max(...outcome.sizes)).toBeLessThanOrEqual(256 * KIB);
    process.stdout.write(`${JSON.stringify(outcome)}\n`);
  },
);
