import type { RunServices } from './run.js';

/** How often deadlines are looked at, in ms. */
const DEADLINE_INTERVAL_MS = 5000;
/** How often old events and transfers are removed, in ms. */
const PRUNE_INTERVAL_MS = 10 * 60_000;
const DAY_MS = 24 * 3600_000;

/** What housekeeping needs. */
export interface HousekeepingOptions {
  readonly services: RunServices;
  readonly failOverdue: (id: string) => void;
  /** Ends what goes on in the background of completed sends whose deadline has passed. */
  readonly giveUpReplicas: () => void;
  readonly remove: (id: string) => void;
  readonly onUnexpected: (error: unknown) => void;
}

/** What time brings: deadlines that pass, events and transfers that are kept no longer. */
export class Housekeeping {
  readonly #options: HousekeepingOptions;
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(options: HousekeepingOptions) {
    this.#options = options;
  }

  start(): void {
    this.#prune();
    this.#failOverdue();
    this.#every(DEADLINE_INTERVAL_MS, () => {
      this.#failOverdue();
    });
    this.#every(PRUNE_INTERVAL_MS, () => {
      this.#prune();
    });
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  #every(ms: number, work: () => void): void {
    this.#timers.push(
      setInterval(() => {
        try {
          work();
        } catch (error) {
          this.#options.onUnexpected(error);
        }
      }, ms).unref(),
    );
  }

  #failOverdue(): void {
    for (const id of this.#options.services.transfers.overdue()) this.#options.failOverdue(id);
    this.#options.giveUpReplicas();
  }

  #prune(): void {
    const { clock, events, settings, transfers } = this.#options.services;
    const { eventCount, eventDays, transferDays } = settings();
    const now = clock.now();
    events.prune({ before: now - eventDays * DAY_MS, count: eventCount });
    if (transferDays === null) return;
    for (const id of transfers.finishedBefore(now - transferDays * DAY_MS)) this.#options.remove(id);
  }
}
