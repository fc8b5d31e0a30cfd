import PQueue from 'p-queue';

import { cancelled, throwIfAborted } from '../transport/index.js';
import type { Clock } from './clock.js';
import { type Crossing, type Direction, PathWidth } from './path-width.js';

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

/** One way to one server. */
interface Way {
  readonly path: PathWidth;
  readonly queue: PQueue;
}

/**
 * Runs jobs on servers, higher priorities first, so many at once on each server and in all. Jobs that move a chunk and
 * others are counted apart on each server, so that a chunk is registered while others are on their way; of those that
 * move one only as many run as the way there takes.
 */
export class WorkQueue {
  readonly #clock: Clock;
  readonly #total: PQueue;
  /** By server. */
  readonly #commands = new Map<string, PQueue>();
  readonly #chunks = new Map<string, PQueue>();
  readonly #ways: Readonly<Record<Direction, Map<string, Way>>> = { up: new Map(), down: new Map() };
  readonly #jobs = new Map<string, Set<Job>>();
  #perServer: number;
  #count = 0;

  constructor({ perServer, total }: WorkLimits, clock: Clock) {
    this.#clock = clock;
    this.#perServer = perServer;
    this.#total = new PQueue({ concurrency: total });
  }

  setLimits({ perServer, total }: WorkLimits): void {
    this.#perServer = perServer;
    this.#total.concurrency = total;
    for (const queues of [this.#commands, this.#chunks])
      for (const queue of queues.values()) queue.concurrency = perServer;
    for (const ways of Object.values(this.#ways))
      for (const way of ways.values()) {
        way.path.setMost(perServer);
        way.queue.concurrency = way.path.width;
      }
  }

  /**
   * Runs a job when its turn has come. A job that is no longer wanted does not run.
   *
   * @throws what the job throws, or XftpError CANCELLED
   */
  async run<T>(server: string, turn: Turn, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return this.#inTurn([this.#queueOf(server, this.#commands), this.#total], turn, signal, work);
  }

  /**
   * The same for a job that moves a chunk. It says when the chunk sets out, if it does, and tells what becomes of it.
   *
   * @throws what the job throws, or XftpError CANCELLED
   */
  async cross<T>(
    { server, direction }: { readonly server: string; readonly direction: Direction },
    turn: Turn,
    signal: AbortSignal,
    work: (setOut: () => Crossing) => Promise<T>,
  ): Promise<T> {
    const { path, queue } = this.#wayTo(server, direction);
    const queues = [queue, this.#queueOf(server, this.#chunks), this.#total];
    return this.#inTurn(queues, turn, signal, async () => {
      const crossings: Crossing[] = [];
      try {
        return await work(() => {
          const crossing = path.begin();
          crossings.push(crossing);
          return crossing;
        });
      } finally {
        for (const crossing of crossings) crossing.left();
        queue.concurrency = path.width;
      }
    });
  }

  /** Waits in one queue after the other. */
  async #inTurn<T>(
    queues: readonly PQueue[],
    turn: Turn,
    signal: AbortSignal,
    work: () => Promise<T>,
  ): Promise<T> {
    const job = this.#enlist(turn);
    const wait = async ([queue, ...others]: readonly PQueue[]): Promise<T> => {
      if (queue === undefined) {
        throwIfAborted(signal);
        return work();
      }
      job.queue = queue;
      const go = (): Promise<T> => {
        delete job.queue;
        return wait(others);
      };
      return queue.add(go, { priority: job.priority, id: job.id });
    };
    try {
      return await wait(queues);
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

  /** How many chunks may be on a way at once, at least 1. */
  widthOf({ server, direction }: { readonly server: string; readonly direction: Direction }): number {
    return this.#ways[direction].get(server)?.path.width ?? this.#perServer;
  }

  /** Jobs that run or wait. */
  get size(): number {
    const queues = [...this.#commands.values(), ...this.#chunks.values()];
    const running = queues.reduce((sum, { size, pending }) => sum + size + pending, 0);
    const { up, down } = this.#ways;
    return [...up.values(), ...down.values()].reduce((sum, { queue }) => sum + queue.size, running);
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

  #wayTo(server: string, direction: Direction): Way {
    const ways = this.#ways[direction];
    let way = ways.get(server);
    if (way === undefined) {
      const path = new PathWidth(this.#clock, this.#perServer);
      way = { path, queue: new PQueue({ concurrency: path.width }) };
      ways.set(server, way);
    }
    return way;
  }

  #queueOf(server: string, queues: Map<string, PQueue>): PQueue {
    let queue = queues.get(server);
    if (queue === undefined) {
      queue = new PQueue({ concurrency: this.#perServer });
      queues.set(server, queue);
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
