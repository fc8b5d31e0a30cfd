// Loaded into a measured program with `node --require`: writes what the program used to the file in BENCH_USAGE_FILE.
// A CommonJS module, since `--import` would cost the program a tenth of a second in each of its threads.
const { readFileSync, writeFileSync } = process.getBuiltinModule('node:fs');
const { isMainThread } = process.getBuiltinModule('node:worker_threads');

const file = process.env.BENCH_USAGE_FILE;

if (isMainThread && file !== undefined)
  process.on('exit', () => {
    const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
    writeFileSync(
      file,
      JSON.stringify({
        cpuSeconds: (userCPUTime + systemCPUTime) / 1e6,
        peakMemoryBytes: maxRSS * 1024,
        diskBytes: diskBytesWritten(),
      }),
    );
  });

/** Bytes sent to the storage layer; undefined where the system does not tell. */
function diskBytesWritten() {
  try {
    return Number(/^write_bytes: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
  } catch {
    return undefined;
  }
}
