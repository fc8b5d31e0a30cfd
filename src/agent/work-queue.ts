import PQueue from 'p-queue';

import { cancelled, throwIfAborted } from '../transport/index.js';

/** How many jobs may run at once. */
export interface WorkLimits {
  readonly perServer: number;
  readonly total: number;
}

/** When a job comes before others. */
export interface Turn {
  /** Whose job it is, such as a transfer's ID: its priority may change while the job waits. */
  readonly owner: string;
  readonly priority: number;
}

/** A job that has not ended. */
interface Job {
  readonly id: string;
  priority: number;
  /** Where it waits. */
  queue?: PQueue;
}

/** Runs jobs on servers, higher priorities first, so many at once on each server and in all. */
export class WorkQueue {
  readonly #total: PQueue;
  readonly #servers = new Map<string, PQueue>();
  readonly #jobs = new Map<string, Set<Job>>();
  #perServer: number;
  #count = 0;

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
  async run<T>(server: string, turn: Turn, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const job = this.#enlist(turn);
    const wait = <R>(queue: PQueue, next: () => Promise<R>): Promise<R> => {
      job.queue = queue;
      const go = (): Promise<R> => {
        delete job.queue;
        return next();
      };
      return queue.add(go, { priority: job.priority, id: job.id });
    };
    const start = async (): Promise<T> => {
      throwIfAborted(signal);
      return work();
    };
    try {
      return await wait(this.#queueOf(server), () => wait(this.#total, start));
    } finally {
      this.#dismiss(turn.owner, job);
    }
  }

  /** Changes when the waiting jobs of an owner come. */
  setPriority({ owner, priority }: Turn): void {
    for (const job of this.#jobs.get(owner) ?? []) {
      job.priority = priority;
      job.queue?.setPriority(job.id, priority);
    }
  }

  /** Jobs that run or wait. */
  get size(): number {
    return [...this.#servers.values()].reduce((sum, { size, pending }) => sum + size + pending, 0);
  }

  #enlist({ owner, priority }: Turn): Job {
    this.#count += 1;
    const job: Job = { id: String(this.#count), priority };
    const jobs = this.#jobs.get(owner);
    if (jobs === undefined) this.#jobs.set(owner, new Set([job]));
    else jobs.add(job);
    return job;
  }

  #dismiss(owner: string, job: Job): void {
    const jobs = this.#jobs.get(owner);
    jobs?.delete(job);
    if (jobs?.size === 0) this.#jobs.delete(owner);
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
