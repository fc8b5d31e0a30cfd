import { configDefaults, defineConfig } from 'vitest/config';

import LongestFirst from './test/support/longest-first.js';

/** Tests that put something in the place of Node's modules. */
const ALONE = ['test/transfer/retry.test.ts'];

/** Tests that take long: a hundred kills of the agent, broken connections, lying and dying relays, full disks. */
const ENDURANCE = ['test/endurance/*.test.ts', 'test/faults/*.test.ts'];

/** A GiB, ten thousand transfers, fifty kills of a relay, leaks and memory: before a release, and after what concerns them. */
const SOAK = 'test/soak/*.test.ts';

/** Needs Debian's `tor` package, and takes a minute. */
const TOR = 'test/tor/*.test.ts';

/** A link of 20 KB/s in real time: takes twenty minutes. */
const LINK = 'test/link/*.test.ts';

/** Needs Debian's `chromium` package. */
const BROWSER = 'test/browser/*.test.ts';

export default defineConfig({
  test: {
    // Real processes, sockets and threads.
    pool: 'forks',
    // Two more than a small machine has cores, since tests wait for programs, limits and disks now and then.
    maxWorkers: 4,
    // Generous, since machines are slow at times; nothing waits for it when all is well.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    sequence: { sequencer: LongestFirst },
    globalSetup: ['test/support/leak-check.ts'],
    reporters: ['default', './test/support/summary-reporter.ts'],
    projects: [
      { extends: true, test: { name: 'alone', include: ALONE } },
      {
        extends: true,
        // Files share a process: what they all load is loaded twice instead of a hundred times.
        test: {
          name: 'together',
          isolate: false,
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...ALONE, ...ENDURANCE, SOAK, TOR, LINK, BROWSER],
        },
      },
      { extends: true, test: { name: 'endurance', include: ENDURANCE } },
      // Measured one after another: each has the machine to itself.
      { extends: true, test: { name: 'soak', include: [SOAK], fileParallelism: false } },
      { extends: true, test: { name: 'link', include: [LINK] } },
      { extends: true, test: { name: 'tor', include: [TOR] } },
      { extends: true, test: { name: 'browser', include: [BROWSER] } },
    ],
  },
});
