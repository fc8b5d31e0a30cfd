import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

import { type FailureCode, isXftpError, parseServerAddress } from '../protocol/index.js';
import type { Clock } from './clock.js';
import type { Database } from './database.js';
import type { SendStore } from './detail-stores.js';
import { RECOVERY_MS } from './error-report.js';
import type { EventLog } from './event-log.js';
import { consequenceOf } from './failure-policy.js';
import type { Ask, RelayAccess } from './relay-access.js';
import type { RelayTaskRow, RelayTaskStore } from './relay-task-store.js';

/** Tasks of one server under way, or waiting at its gate, at once. */
const AT_ONCE = 8;
/** Behind every transfer: nobody waits for it. */
const TURN = { owner: 'relay tasks', priority: -100 };

/**
 * Failures that say nothing about the chunk and may pass, since no other relay can do it: the way there is closed for
 * want of a proxy, or somebody else stands at the relay's address for a while.
 */
const MAY_PASS: ReadonlySet<FailureCode> = new Set(['TOR_REQUIRED', 'IDENTITY_MISMATCH', 'RELAY_VERSION']);

/** What the runner needs. */
export interface RelayTaskOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly events: EventLog;
  readonly sends: SendStore;
  readonly tasks: RelayTaskStore;
  readonly relays: RelayAccess;
  readonly onUnexpected: (error: unknown) => void;
  /** For tests: a shorter pause after an error that was not foreseen, in ms. */
  readonly recoveryMs?: number;
}

/** Deletes and acknowledges chunks on relays, in the background, until each relay was told or it is too late. */
export class RelayTaskRunner {
  readonly #options: RelayTaskOptions;
  readonly #abort = new AbortController();
  readonly #running = new Map<number, Promise<void>>();
  #looksAgain = false;

  constructor(options: RelayTaskOptions) {
    this.#options = options;
    setMaxListeners(0, this.#abort.signal);
  }

  /** Starts as many tasks as may run at once. Never throws: what goes wrong is reported, and tried again later. */
  wake(): void {
    if (this.#abort.signal.aborted) return;
    const { onUnexpected, tasks } = this.#options;
    try {
      for (const server of tasks.servers())
        for (const task of tasks.next(server, AT_ONCE)) if (!this.#running.has(task.id)) this.#start(task);
    } catch (error) {
      onUnexpected(error);
      void this.#lookAgain();
    }
  }

  #start(task: RelayTaskRow): void {
    const end = this.#run(task).catch(async (error: unknown) => {
      this.#options.onUnexpected(error);
      // It is in the database still and would start again at once, and fail again.
      await this.#recover();
    });
    this.#running.set(task.id, end);
    void end.then(() => {
      this.#running.delete(task.id);
      this.wake();
    });
  }

  async #lookAgain(): Promise<void> {
    if (this.#looksAgain) return;
    this.#looksAgain = true;
    await this.#recover();
    this.#looksAgain = false;
    this.wake();
  }

  /** Waits a while, or until the runner is stopped. */
  async #recover(): Promise<void> {
    const { recoveryMs = RECOVERY_MS } = this.#options;
    const { signal } = this.#abort;
    await delay(recoveryMs, undefined, { signal, ref: false }).catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await Promise.allSettled(this.#running.values());
  }

  async #run(task: RelayTaskRow): Promise<void> {
    const { clock, relays, tasks } = this.#options;
    const { signal } = this.#abort;
    const server = parseServerAddress(task.server);
    const access = { id: task.access_id, privateKey: task.access_key };
    const ask: Ask = {
      server,
      action: task.action,
      turn: TURN,
      sharing: { owner: `tasks of ${task.owner ?? String(task.id)}`, isolation: task.isolation },
      chunk: task.id,
      signal,
      isOutdated: () => tasks.find(task.id) === undefined,
    };
    while (tasks.find(task.id) !== undefined) {
      if (clock.now() > task.deadline) {
        this.#finish(task, false);
        return;
      }
      try {
        await relays.ask(ask, (client) =>
          task.action === 'delete'
            ? client.deleteChunk(server, access, { signal })
            : client.acknowledgeChunk(server, access, { signal }),
        );
        this.#finish(task, true);
        return;
      } catch (error) {
        if (signal.aborted) return;
        const consequence = consequenceOf(error);
        if (consequence === 'retry') continue;
        // The relay has not been told, or that it was is not recorded: the task stays.
        if (consequence === 'wait-for-database') throw error;
        if (isXftpError(error) && MAY_PASS.has(error.code)) {
          relays.postpone(ask, error);
          continue;
        }
        // Gone already is as good as deleted.
        this.#finish(task, isXftpError(error) && error.kind === 'gone');
        return;
      }
    }
  }

  #finish(task: RelayTaskRow, ok: boolean): void {
    const { database, events, sends, tasks } = this.#options;
    database.transaction(() => {
      // Whom it is done for may have changed meanwhile.
      const transferId = tasks.find(task.id)?.transfer_id ?? null;
      tasks.remove(task.id);
      if (task.action !== 'delete' || transferId === null) return;
      const outcome = sends.countDeletion(transferId, ok);
      if (outcome !== undefined && tasks.countOf(transferId, 'delete') === 0)
        events.append('transfer.deleted', outcome, transferId);
    });
  }
}
