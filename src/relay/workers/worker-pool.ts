import type { Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { createSecureContext } from 'node:tls';

import { XftpError } from '../../protocol/index.js';
import type { ConnectionHost, HostMeasures } from '../connection-host.js';
import { nativeContext, type ShownIdentity, webContext } from '../shown-identity.js';
import type { WorkerSettings } from './worker-calls.js';
import { WorkerProcess, type WorkerSurroundings } from './worker-process.js';

/** The pause before the place of a worker that has ended is filled, in ms; it doubles while workers do not last. */
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 30_000;
/** A worker that has worked so long, in ms, has lasted. */
const LASTING_MS = 60_000;

/** Serves connections in several processes: each in the one that has the fewest, if it takes them. */
export class WorkerPool implements ConnectionHost {
  readonly #surroundings: WorkerSurroundings;
  readonly #workers = new Set<WorkerProcess>();
  readonly #stopping = new AbortController();
  #settings: WorkerSettings;
  #kept: readonly Promise<void>[] = [];

  private constructor(settings: WorkerSettings, surroundings: WorkerSurroundings) {
    this.#settings = settings;
    this.#surroundings = surroundings;
  }

  /**
   * Starts so many workers, and resolves when they serve.
   *
   * @param settings whose limits are those of the whole relay: each worker gets its share
   * @throws XftpError LOCAL_IO when one of them does not start
   */
  static async start(
    count: number,
    settings: WorkerSettings,
    surroundings: WorkerSurroundings,
  ): Promise<WorkerPool> {
    checkShown(settings.shown);
    const { limits } = settings;
    const share = (most: number): number => Math.ceil(most / count);
    const pool = new WorkerPool(
      {
        ...settings,
        limits: { ...limits, uploads: share(limits.uploads), downloads: share(limits.downloads) },
      },
      surroundings,
    );
    try {
      const workers = Array.from({ length: count }, () => pool.#begin());
      await Promise.all(workers.map(({ started }) => started));
      if (!workers.every(({ ready }) => ready)) throw new Error('A worker ended before it served.');
      pool.#kept = workers.map((worker) => pool.#keep(worker));
      return pool;
    } catch (cause) {
      await pool.stop();
      throw new XftpError(
        'LOCAL_IO',
        'The processes that serve the connections of the relay could not be started: there may be too little memory for ' +
          'so many; set connection_workers in [TRANSPORT] of file-server.ini to a smaller number.',
        { cause },
      );
    }
  }

  take(socket: Socket, client: string | undefined, ended: () => void): void {
    let least: WorkerProcess | undefined;
    for (const worker of this.#workers)
      if (worker.ready && (least === undefined || isLessBusy(worker, least))) least = worker;
    if (least !== undefined) {
      least.take(socket, client, ended);
      return;
    }
    socket.destroy();
    ended();
  }

  async show(shown: ShownIdentity): Promise<void> {
    checkShown(shown);
    this.#settings = { ...this.#settings, shown };
    await Promise.all([...this.#workers].map((worker) => worker.show(shown)));
  }

  closeUnusedSince(time: number): void {
    for (const worker of this.#workers) worker.closeUnusedSince(time);
  }

  async measure(): Promise<HostMeasures> {
    const all = await Promise.all([...this.#workers].map((worker) => worker.measure()));
    const measures = all.filter((each) => each !== undefined);
    return {
      clients: measures.reduce((sum, { clients }) => sum + clients, 0),
      processes: measures.map(({ use }) => use),
    };
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([...this.#workers].map((worker) => worker.stop()));
    await Promise.all(this.#kept);
  }

  #begin(): WorkerProcess {
    const worker = new WorkerProcess(this.#settings, this.#surroundings);
    this.#workers.add(worker);
    void worker.ended.then(() => this.#workers.delete(worker));
    return worker;
  }

  /** Fills the place of a worker again each time that it ends by itself. */
  async #keep(first: WorkerProcess): Promise<void> {
    const { signal } = this.#stopping;
    const stopping = (): boolean => signal.aborted;
    let pause = FIRST_PAUSE_MS;
    let worker: WorkerProcess | undefined = first;
    for (;;) {
      const since = performance.now();
      const how = await worker?.ended;
      if (stopping()) return;
      if (how !== undefined) this.#tellEnd(worker?.pid, how);
      if (performance.now() - since >= LASTING_MS) pause = FIRST_PAUSE_MS;
      // Rejects only when the relay stops.
      await wait(pause, undefined, { signal }).catch(() => undefined);
      if (stopping()) return;
      pause = Math.min(2 * pause, MAX_PAUSE_MS);
      worker = this.#tryToBegin();
    }
  }

  /** Undefined when the system cannot start a process now. */
  #tryToBegin(): WorkerProcess | undefined {
    try {
      return this.#begin();
    } catch (error) {
      this.#tellEnd(undefined, error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  #tellEnd(pid: number | undefined, how: string): void {
    this.#surroundings.failed(
      pid === undefined
        ? {
            kind: 'no worker',
            sentence: `A connection worker could not be started, and is tried again (${how}).`,
          }
        : {
            kind: `worker ${String(pid)}`,
            sentence:
              `A connection worker (process ${String(pid)}) ended (${how}): its clients have to connect again, ` +
              'and another one takes its place.',
          },
    );
  }
}

/** A worker that hangs takes no more connections, so that those before them count more than those that it serves. */
function isLessBusy(one: WorkerProcess, other: WorkerProcess): boolean {
  return one.waiting === other.waiting ? one.load < other.load : one.waiting < other.waiting;
}

/** Fails, before any worker is told, when TLS cannot use it. */
function checkShown(shown: ShownIdentity): void {
  createSecureContext(nativeContext(shown));
  webContext(shown);
}
