import { setTimeout as delay } from 'node:timers/promises';

import { isXftpError, XftpError } from '../protocol/index.js';
import { RECOVERY_MS } from './error-report.js';
import { consequenceOf, toFailureInfo } from './failure-policy.js';
import { runReceive } from './receive-run.js';
import { asXftpError, Run, type RunServices } from './run.js';
import { runSend, type SendRunOptions } from './send-run.js';
import { failureOf, type TransferRow } from './transfer-store.js';
import { isFinal } from './transfer-states.js';

/** Transfers that move at once: enough to fill every relay with small files, few enough to keep each one moving. */
const MAX_MOVING = 32;
/** Transfers that may wait for relays beside them, so that a dead relay does not hold up those for others. */
const MAX_WAITING = 1000;
/** Stored descriptions that move at once beside them: transfers wait for these, so they have places of their own. */
const MAX_STORED_MOVING = 8;

/** What the scheduler needs. */
export interface SchedulerOptions {
  readonly services: RunServices;
  readonly storeRedirects: SendRunOptions['storeRedirects'];
  /** A run has ended and its transfer's state is final: clean up after it. */
  readonly onFinal: (id: string) => void;
  /** A mistake of ours, for the log. */
  readonly onUnexpected: (error: unknown) => void;
}

/** Takes transfers from the queue, by priority and age, and runs them. */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #runs = new Map<
    string,
    { readonly run: Run; readonly hidden: boolean; readonly ended: Promise<void> }
  >();
  readonly #abort = new AbortController();
  #filling = false;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  /** Goes on with what was under way when the agent was stopped, then with the queue. */
  start(): void {
    for (const row of this.#transfers.interrupted()) this.#start(row);
    this.wake();
  }

  /** Looks at the queue, soon. */
  wake(): void {
    if (this.#filling || this.#stopped) return;
    this.#filling = true;
    setImmediate(() => {
      this.#filling = false;
      try {
        this.#fill();
      } catch (error) {
        this.#options.onUnexpected(error);
        void this.#recover().then(() => {
          this.wake();
        });
      }
    });
  }

  /** Stops the run of a transfer, if there is one; its state was changed before. */
  async halt(id: string): Promise<void> {
    const running = this.#runs.get(id);
    running?.run.stop();
    await running?.ended;
  }

  /** The priority of a transfer was changed: what it waits for comes earlier or later. */
  reprioritize(id: string): void {
    const run = this.#runs.get(id)?.run;
    if (run !== undefined) this.#options.services.relays.setPriority(run.turn);
  }

  isRunning(id: string): boolean {
    return this.#runs.has(id);
  }

  /** Stops all runs and starts no more. What they have recorded stays as it is. */
  async stop(): Promise<void> {
    this.#abort.abort();
    for (const { run } of this.#runs.values()) run.stop();
    await Promise.all([...this.#runs.values()].map(({ ended }) => ended));
  }

  get #stopped(): boolean {
    return this.#abort.signal.aborted;
  }

  get #transfers(): RunServices['transfers'] {
    return this.#options.services.transfers;
  }

  #fill(): void {
    if (this.#stopped) return;
    for (const hidden of [false, true]) {
      let room = this.#room(hidden);
      // Those that are ending still run; they stay in the queue until then.
      for (const row of room > 0 ? this.#transfers.queued(room + this.#runs.size, hidden) : []) {
        if (room <= 0) break;
        if (this.#runs.has(row.id)) continue;
        this.#start(row);
        room -= 1;
      }
    }
  }

  /** How many transfers may begin, of those that clients see or of the stored descriptions. */
  #room(hidden: boolean): number {
    const ids = [...this.#runs].flatMap(([id, run]) => (run.hidden === hidden ? [id] : []));
    const waiting = ids.filter((id) => this.#transfers.find(id)?.state === 'waiting').length;
    const most = hidden ? MAX_STORED_MOVING : MAX_MOVING;
    return Math.max(0, Math.min(most - (ids.length - waiting), MAX_WAITING + most - ids.length));
  }

  #start(row: TransferRow): void {
    const run = new Run(row.id, this.#options.services);
    const ended = this.#execute(run, row).then(() => {
      run.end();
      this.#runs.delete(row.id);
      this.wake();
    });
    this.#runs.set(row.id, { run, hidden: row.hidden !== 0, ended });
  }

  /** Never rejects: a run whose end cannot be recorded leaves its transfer as it is, and begins again later. */
  async #execute(run: Run, row: TransferRow): Promise<void> {
    // So that the run is known before its first step.
    await Promise.resolve();
    let over = false;
    do
      try {
        if (!over && !run.signal.aborted) await this.#attempt(run, row);
        over = true;
        const state = this.#transfers.find(run.id)?.state;
        if (state !== undefined && isFinal(state)) this.#options.onFinal(run.id);
        return;
      } catch (error) {
        this.#options.onUnexpected(error);
        // A run that was stopped has still to be cleaned up after.
        await this.#recover(run.signal.aborted ? undefined : run.signal);
      }
    while (!this.#stopped);
  }

  /** @throws what keeps the end of the run from being recorded */
  async #attempt(run: Run, row: TransferRow): Promise<void> {
    try {
      await (row.direction === 'send' ? runSend(run, this.#options) : runReceive(run));
    } catch (error) {
      // Stopped by a client, who has changed the state, or by the end of the agent, which leaves it.
      if (run.signal.aborted) return;
      if (consequenceOf(error) === 'wait-for-database') throw error;
      this.#fail(run.id, error);
    }
  }

  #fail(id: string, error: unknown): void {
    const failure = asXftpError(error);
    if (!isXftpError(error) || consequenceOf(failure) === 'stop') this.#options.onUnexpected(error);
    this.#transfers.transition(id, { to: 'failed', failure: toFailureInfo(failure) });
  }

  /** Fails a transfer whose deadline has passed. */
  failOverdue(id: string): void {
    const last = failureOf(this.#transfers.row(id));
    const why = last === undefined ? '' : ` What it waited for: ${last.message}`;
    const message = `The transfer was not completed before its deadline.${why}`;
    this.#fail(id, new XftpError('DEADLINE_PASSED', message));
    this.halt(id)
      .then(() => {
        this.#options.onFinal(id);
      })
      .catch(this.#options.onUnexpected);
  }

  /** Waits a while, or until somebody stops it. */
  async #recover(until?: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([this.#abort.signal, ...(until === undefined ? [] : [until])]);
    await delay(RECOVERY_MS, undefined, { signal, ref: false }).catch(() => undefined);
  }
}
