import { rejectOnAbort } from './abort.js';

/** One attempt to connect that several callers wait for. It is stopped only when all who joined have given up. */
export class SharedDial<T> {
  /** The attempt's own outcome. Its failure is handled here, so it may be ignored. */
  readonly outcome: Promise<T>;
  readonly #abort = new AbortController();
  #reason: Error | undefined;
  #settled = false;
  #waiting = 0;

  constructor(dial: (signal: AbortSignal) => Promise<T>) {
    this.outcome = dial(this.#abort.signal)
      .catch((error: unknown) => {
        throw this.#reason ?? error;
      })
      .finally(() => {
        this.#settled = true;
      });
    this.outcome.catch(() => undefined);
  }

  /**
   * Waits for the attempt.
   *
   * @throws what the attempt threw, or XftpError CANCELLED when `signal` aborts first
   */
  async join(signal?: AbortSignal): Promise<T> {
    if (this.#settled) return this.outcome;
    this.#waiting += 1;
    try {
      return await rejectOnAbort(this.outcome, signal);
    } finally {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.stop();
    }
  }

  /** Whether the attempt was stopped before its end. */
  get stopped(): boolean {
    return this.#abort.signal.aborted;
  }

  /** Stops the attempt if it is still under way; those who wait for it get this failure. */
  fail(reason: Error): void {
    this.#reason = reason;
    this.stop();
  }

  /** Stops the attempt if it is still under way. */
  stop(): void {
    if (!this.#settled) this.#abort.abort();
  }
}
