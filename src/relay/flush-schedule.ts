/** When what clients are told of is forced to the disk: before they are told, once a second, or when the system likes. */
export type FlushPolicy = (typeof FLUSH_POLICIES)[number];

/** All policies, the safest first. */
export const FLUSH_POLICIES = ['always', 'everysec', 'never'] as const;

/** Longest time that `everysec` leaves something unflushed, in ms, apart from the time that flushing takes. */
const INTERVAL_MS = 1000;

/** Decides when files are flushed, and does it in the background where it may be later. */
export class FlushSchedule {
  readonly #policy: FlushPolicy;
  readonly #failed: (error: unknown) => void;
  /** What is to be flushed, by what it is: each once, in the order of the latest requests. */
  readonly #waiting = new Map<string, () => Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #flushing = Promise.resolve();

  /** @param failed told of a flush that failed after clients were told that all is well */
  constructor(policy: FlushPolicy, failed: (error: unknown) => void) {
    this.#policy = policy;
    this.#failed = failed;
  }

  /**
   * Flushes at once, and resolves when that is done; or sees to it that it happens in time.
   *
   * @param what names the thing: of several requests for one the last counts
   */
  async flush(what: string, act: () => Promise<void>): Promise<void> {
    switch (this.#policy) {
      case 'always':
        await act();
        return;
      case 'everysec':
        this.#waiting.delete(what);
        this.#waiting.set(what, act);
        this.#timer ??= setTimeout(() => void this.settled(), INTERVAL_MS);
        return;
      case 'never':
    }
  }

  /** Whether callers wait for their flush, so that one may be worth sharing. */
  get atOnce(): boolean {
    return this.#policy === 'always';
  }

  /** Flushes all that waits now. Never rejects. */
  settled(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#flushing = this.#flushing.then(() => this.#flushWaiting());
    return this.#flushing;
  }

  async #flushWaiting(): Promise<void> {
    const acts = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const act of acts)
      try {
        await act();
      } catch (error) {
        this.#failed(error);
      }
  }
}
