import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Real processes, sockets and threads: each file in a process of its own.
    pool: 'forks',
    maxWorkers: 2,
    // Generous, since machines are slow at times; nothing waits for it when all is well.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    globalSetup: ['test/support/leak-check.ts'],
    reporters: ['default', './test/support/summary-reporter.ts'],
  },
});
