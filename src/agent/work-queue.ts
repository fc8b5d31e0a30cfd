import PQueue from 'p-queue';

import { cancelled, throwIfAborted } from '../transport/index.js';

/** How many jobs may run at once. */
export interface WorkLimits {
  readonly perServer: number;
  readonly total: number;
}

/** Runs jobs on servers, higher priorities first, so many at once on each server and in all. */
export class WorkQueue {
  readonly #total: PQueue;
  readonly #servers = new Map<string, PQueue>();
  #perServer: number;

  constructor({ perServer, total }: WorkLimits) {
    this.#perServer = perServer;
    this.#total = new PQueue({ concurrency: total });
  }

  setLimits({ perServer, total }: WorkLimits): void {
    this.#perServer = perServer;
    this.#total.concurrency = total;
    for (const queue of this.#servers.values()) queue.concurrency = perServer;
  }

  /**
   * Runs a job when its turn has come. A job that is no longer wanted does not run.
   *
   * @throws what the job throws, or XftpError CANCELLED
   */
  async run<T>(server: string, priority: number, signal: AbortSignal, job: () => Promise<T>): Promise<T> {
    const turn = async (): Promise<T> => {
      throwIfAborted(signal);
      return job();
    };
    return this.#queueOf(server).add(() => this.#total.add(turn, { priority }), { priority });
  }

  /** Jobs that run or wait. */
  get size(): number {
    return [...this.#servers.values()].reduce((sum, { size, pending }) => sum + size + pending, 0);
  }

  #queueOf(server: string): PQueue {
    let queue = this.#servers.get(server);
    if (queue === undefined) {
      queue = new PQueue({ concurrency: this.#perServer });
      this.#servers.set(server, queue);
    }
    return queue;
  }
}

/** Waits so many ms. Throws XftpError CANCELLED. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(cancelled());
    };
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
