import { setMaxListeners } from 'node:events';

import type { CipherPool } from '../transfer/index.js';
import { checkRoom } from '../transfer/index.js';
import { isXftpError, XftpError } from '../protocol/index.js';
import type { Pacing } from '../transport/index.js';
import type { ChunkFit } from './chunk-fit.js';
import type { ChunkStore } from './chunk-store.js';
import type { Clock } from './clock.js';
import type { Database } from './database.js';
import type { ReceiveStore, SendStore } from './detail-stores.js';
import type { EventLog } from './event-log.js';
import { toFailureInfo } from './failure-policy.js';
import type { FailureInfo, Settings } from './model.js';
import type { NetworkMonitor } from './network-monitor.js';
import type { ProgressTracker } from './progress-tracker.js';
import type { RelayAccess } from './relay-access.js';
import type { RelayTaskStore } from './relay-task-store.js';
import type { ServerGates } from './server-gates.js';
import type { ServerHealth } from './server-health.js';
import type { ServerStore } from './server-store.js';
import type { TransferPaces } from './transfer-paces.js';
import type { TransferRow, TransferStore, Transition } from './transfer-store.js';
import { WaitWatch } from './wait-watch.js';
import { pause, type Turn } from './work-queue.js';

/** How often a full disk is looked at again, in ms. */
const DISK_RETRY_MS = 10_000;

/** A chunk that its relay drops within so long is urgent, in ms. */
const URGENT_MS = 6 * 3600_000;
/** The highest priority that a client can give. */
const MAX_PRIORITY = 10;

type WorkingState = 'preparing' | 'uploading' | 'downloading' | 'verifying';

/** What every run works with. */
export interface RunServices {
  readonly database: Database;
  readonly clock: Clock;
  readonly events: EventLog;
  readonly transfers: TransferStore;
  readonly sends: SendStore;
  readonly receives: ReceiveStore;
  readonly chunks: ChunkStore;
  readonly relayTasks: RelayTaskStore;
  readonly servers: ServerStore;
  readonly relays: RelayAccess;
  readonly gates: ServerGates;
  readonly health: ServerHealth;
  /** How large chunks may be on the way to each server. */
  readonly fit: ChunkFit;
  readonly network: NetworkMonitor;
  readonly ciphers: CipherPool;
  readonly progress: ProgressTracker;
  /** What uploads and downloads are held to. */
  readonly paces: TransferPaces;
  readonly settings: () => Settings;
  /** Told of what fails with nobody waiting for the answer. */
  readonly report: (error: unknown) => void;
  /** Where the copy of a send's source is, if it has one. */
  readonly snapshotPath: (id: string) => string;
  /** Starts what is in the queue, such as a transfer that was just added. */
  readonly wake: () => void;
  /** Told when the relays have to be told something. */
  readonly wakeRelayTasks: () => void;
}

/** One run of one transfer, from when it is taken from the queue until it ends or is stopped. */
export class Run {
  readonly id: string;
  readonly services: RunServices;
  readonly #abort = new AbortController();
  readonly #watch: WaitWatch;
  #state: WorkingState | undefined;

  constructor(id: string, services: RunServices) {
    this.id = id;
    this.services = services;
    // Every chunk under way listens: many listeners are no leak here.
    setMaxListeners(0, this.#abort.signal);
    this.#watch = new WaitWatch({
      onWaiting: (reason, failure) => {
        const why = { reason, ...(failure === undefined ? {} : { failure }) };
        if (!this.signal.aborted && this.row.state === 'waiting') services.transfers.stillWaits(id, why);
        else this.#change({ to: 'waiting', ...why });
      },
      onMoving: () => {
        if (this.#state !== undefined) this.#change({ to: this.#state });
      },
      onError: services.report,
    });
  }

  /**
   * How early its jobs on relays come: by the transfer's own priority, but before all others when relays are about to
   * drop its chunks, the earliest first.
   */
  get turn(): Turn {
    const { expires_at: expiresAt, priority } = this.row;
    const left = (expiresAt ?? Infinity) - this.services.clock.now();
    const urgency = (URGENT_MS - Math.max(0, left)) / URGENT_MS;
    return { owner: this.id, priority: left > URGENT_MS ? priority : MAX_PRIORITY + 1 + urgency };
  }

  /** Aborts when the run is stopped. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Stops the run: no new step begins, requests under way are given up. */
  stop(): void {
    this.#watch.stop();
    this.#abort.abort();
  }

  /** What the bytes of its chunks are held to. */
  get pace(): Pacing {
    return this.services.paces.of(this.id, this.row);
  }

  get row(): TransferRow {
    return this.services.transfers.row(this.id);
  }

  /** The run begins to work in this state; it may be in it since before a restart. */
  enter(state: WorkingState): void {
    if (this.signal.aborted) return;
    this.#state = state;
    const { state: now } = this.row;
    if (now !== state) this.services.transfers.transition(this.id, { to: state });
    this.showProgress();
  }

  /** Begins or goes on to tell of the bytes that move. */
  showProgress(): void {
    const { state, encrypted_size: total, bytes_done: done, hidden } = this.row;
    if (total !== null && hidden === 0) this.services.progress.update(this.id, { state, total, done });
  }

  /** Counts a piece of work that may have to wait. */
  async job<T>(work: () => Promise<T>): Promise<T> {
    const end = this.#watch.job();
    try {
      return await work();
    } finally {
      end();
    }
  }

  /** For `Ask.onBlocked`: the job waits for a relay, or for the network. */
  readonly onBlocked = (reason?: XftpError): (() => void) =>
    this.#watch.wait(
      this.services.network.info.online ? 'relay' : 'offline',
      reason === undefined ? undefined : toFailureInfo(reason),
    );

  /** Waits, as a job that counts, until the disk of `folder` has room for `size` bytes more than when `reason` came. */
  async waitForDisk(folder: string, size: number, reason?: XftpError): Promise<void> {
    const end = this.#watch.wait('disk', reason === undefined ? undefined : toFailureInfo(reason));
    try {
      for (;;) {
        await pause(DISK_RETRY_MS, this.signal);
        try {
          await checkRoom(folder, size);
          return;
        } catch (error) {
          if (!isXftpError(error, 'DISK_FULL')) throw error;
        }
      }
    } finally {
      end();
    }
  }

  /** Tells clients of something although the transfer goes on. */
  warn(warning: 'security' | 'relay', failure: FailureInfo, server: string): void {
    if (this.row.hidden === 0)
      this.services.events.append('transfer.warning', { warning, failure, server }, this.id);
  }

  /** Ends what the run keeps for itself. */
  end(): void {
    this.#watch.stop();
    this.services.progress.end(this.id);
    this.services.paces.end(this.id);
  }

  /** The watch's timer may fire when the run has been stopped. */
  #change(step: Transition): void {
    if (this.signal.aborted || this.row.state === step.to) return;
    this.services.transfers.transition(this.id, step);
    this.showProgress();
    // Others may move meanwhile.
    if (step.to === 'waiting') this.services.wake();
  }
}

/** A failure that is a mistake of ours becomes one that clients can be told. */
export function asXftpError(error: unknown): XftpError {
  return isXftpError(error)
    ? error
    : new XftpError('LOCAL_IO', 'The transfer met an unexpected problem; the log of the agent tells more.', {
        cause: error,
      });
}
