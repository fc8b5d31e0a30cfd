import type { XftpError } from '../protocol/index.js';
import type { Clock } from './clock.js';
import { DEFAULT_GATE_PAUSES, type GatePauses, pauseAfter } from './server-gates.js';
import { pause } from './work-queue.js';

/** Something that is tried until it works. */
export interface Step {
  /** Who wants it: a transfer, if it belongs to one. */
  readonly owner: string;
  /** Key of the server that has to do it. */
  readonly server: string;
  /** What it is, for this owner on this server. */
  readonly name: string;
}

/** A step that has failed since it last worked. */
interface Failing {
  readonly step: Step;
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
  readonly #waiting = new Map<AbortController, Step>();

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
  async wait(step: Step, signal: AbortSignal, onWait: (reason: XftpError) => () => void): Promise<void> {
    const failing = this.#failing.get(keyOf(step));
    if (failing === undefined) return;
    const left = failing.until - this.#clock.monotonic();
    if (left <= 0) return;
    const early = new AbortController();
    this.#waiting.set(early, step);
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

  failed(step: Step, reason: XftpError): void {
    const now = this.#clock.monotonic();
    // Steps of transfers that have been given up.
    for (const [other, { until }] of this.#failing)
      if (until + this.#pauses.longestMs < now) this.#failing.delete(other);
    const key = keyOf(step);
    const failures = (this.#failing.get(key)?.failures ?? 0) + 1;
    this.#failing.set(key, { step, failures, until: now + pauseAfter(failures, this.#pauses), reason });
  }

  succeeded(step: Step): void {
    this.#failing.delete(keyOf(step));
  }

  /** Lets all steps be tried at once, with short pauses again; or those of one owner, or on one server. */
  retry(which: Partial<Pick<Step, 'owner' | 'server'>> = {}): void {
    const isMeant = ({ owner, server }: Step): boolean =>
      owner === (which.owner ?? owner) && server === (which.server ?? server);
    for (const [key, { step }] of this.#failing) if (isMeant(step)) this.#failing.delete(key);
    for (const [early, step] of this.#waiting) if (isMeant(step)) early.abort();
  }
}

function keyOf({ owner, server, name }: Step): string {
  return [owner, server, name].join(' ');
}
