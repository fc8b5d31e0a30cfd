/** What processes have used up. */
export interface ProcessUse {
  /** Bytes of memory, shared parts included. */
  readonly memory: number;
  /** Bytes of the heap, and how much of it is in use. */
  readonly heap: number;
  readonly heapInUse: number;
  /** Bytes outside of the heap. */
  readonly external: number;
  /** Time of the processor in microseconds, of the program and of the system for it. */
  readonly user: number;
  readonly system: number;
}

/** What this process has used up. */
export function processUse(): ProcessUse {
  const { rss, heapTotal, heapUsed, external } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  return { memory: rss, heap: heapTotal, heapInUse: heapUsed, external, user, system };
}

/** What several processes have used up together. */
export function addUse(first: ProcessUse, ...others: readonly ProcessUse[]): ProcessUse {
  return others.reduce(
    (sum, use) => ({
      memory: sum.memory + use.memory,
      heap: sum.heap + use.heap,
      heapInUse: sum.heapInUse + use.heapInUse,
      external: sum.external + use.external,
      user: sum.user + use.user,
      system: sum.system + use.system,
    }),
    first,
  );
}
