import type { Reporter, TestModule } from 'vitest/node';

/** Ends a run with one plain line for machines: `N passed, N failed`. */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    let passed = 0;
    let failed = unhandledErrors.length;
    for (const module of modules) {
      failed += module.errors().length;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') passed += 1;
        if (state === 'failed') failed += 1;
      }
    }
    // After the reporters that print on process exit, so that this is the last line.
    process.on('exit', () => {
      process.stdout.write(`${String(passed)} passed, ${String(failed)} failed\n`);
    });
  }
}
