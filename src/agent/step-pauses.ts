import type { XftpError } from '../protocol/index.js';
import type { Clock } from './clock.js';
import { DEFAULT_GATE_PAUSES, type GatePauses, pauseAfter } from './server-gates.js';
import { pause } from './work-queue.js';

/** A step that has failed since it last worked. */
interface Failing {
  readonly failures: number;
  /** Monotonic time from which it may be tried again. */
  readonly until: number;
  readonly reason: XftpError;
}

/**
 * The pauses of single steps that fail on servers which answer, such as the upload of one chunk to a relay whose disk is
 * full: they grow from failure to failure, and hold up nothing else.
 */
export class StepPauses {
  readonly #clock: Clock;
  readonly #pauses: GatePauses;
  readonly #failing = new Map<string, Failing>();
  readonly #waiting = new Set<AbortController>();

  constructor(clock: Clock, pauses = DEFAULT_GATE_PAUSES) {
    this.#clock = clock;
    this.#pauses = pauses;
  }

  /**
   * Waits until a step may be tried.
   *
   * @param onWait called when it has to wait, with why; what it returns is called when it goes on
   * @throws XftpError CANCELLED
   */
  async wait(step: string, signal: AbortSignal, onWait: (reason: XftpError) => () => void): Promise<void> {
    const failing = this.#failing.get(step);
    if (failing === undefined) return;
    const left = failing.until - this.#clock.monotonic();
    if (left <= 0) return;
    const early = new AbortController();
    this.#waiting.add(early);
    const goOn = onWait(failing.reason);
    try {
      await pause(left, AbortSignal.any([signal, early.signal]));
    } catch (error) {
      if (signal.aborted) throw error;
    } finally {
      this.#waiting.delete(early);
      goOn();
    }
  }

  failed(step: string, reason: XftpError): void {
    const now = this.#clock.monotonic();
    // Steps of transfers that have been given up.
    for (const [other, { until }] of this.#failing)
      if (until + this.#pauses.longestMs < now) this.#failing.delete(other);
    const failures = (this.#failing.get(step)?.failures ?? 0) + 1;
    this.#failing.set(step, { failures, until: now + pauseAfter(failures, this.#pauses), reason });
  }

  succeeded(step: string): void {
    this.#failing.delete(step);
  }

  /** Lets all steps be tried at once, with short pauses again: the network has changed. */
  retryAll(): void {
    this.#failing.clear();
    for (const early of this.#waiting) early.abort();
  }
}
