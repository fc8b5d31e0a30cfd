import { RECOVERY_MS } from './error-report.js';
import type { WaitingReason } from './model.js';

/** A wait shorter than this is not told, in ms: the state would only flicker. */
const SETTLE_MS = 500;

/** Who is told. What they throw is reported, and they are told again later. */
export interface WaitListener {
  readonly onWaiting: (reason: WaitingReason) => void;
  readonly onMoving: () => void;
  readonly onError: (error: unknown) => void;
}

/** Sees when a transfer stands still: all its jobs wait for the network, a relay or the disk. */
export class WaitWatch {
  readonly #listener: WaitListener;
  readonly #reasons = new Map<symbol, WaitingReason>();
  #jobs = 0;
  #waiting = false;
  #timer: NodeJS.Timeout | undefined;
  #looking: NodeJS.Immediate | undefined;

  constructor(listener: WaitListener) {
    this.#listener = listener;
  }

  /** A job of the transfer begins. Returns how to end it. */
  job(): () => void {
    this.#jobs += 1;
    this.#look();
    return () => {
      this.#jobs -= 1;
      this.#look();
    };
  }

  /** A job begins to wait. Returns how to end the wait. */
  wait(reason: WaitingReason): () => void {
    const key = Symbol(reason);
    this.#reasons.set(key, reason);
    this.#look();
    return () => {
      this.#reasons.delete(key);
      this.#look();
    };
  }

  stop(): void {
    clearImmediate(this.#looking);
    this.#looking = undefined;
    this.#stopTimer();
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Soon: a job that waits again at once, such as after another failure, has not moved. */
  #look(): void {
    this.#looking ??= setImmediate(() => {
      this.#looking = undefined;
      this.#judge();
    });
  }

  #judge(): void {
    const [reason] = this.#reasons.values();
    const still = reason !== undefined && this.#reasons.size >= this.#jobs;
    if (still && !this.#waiting) {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        const [now] = this.#reasons.values();
        if (now === undefined || this.#reasons.size < this.#jobs) return;
        this.#tell(true, () => {
          this.#listener.onWaiting(now);
        });
      }, SETTLE_MS);
      return;
    }
    if (still) return;
    this.#stopTimer();
    if (!this.#waiting || this.#jobs === 0) return;
    this.#tell(false, this.#listener.onMoving);
  }

  #tell(waiting: boolean, tell: () => void): void {
    try {
      tell();
      this.#waiting = waiting;
    } catch (error) {
      this.#listener.onError(error);
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#judge();
      }, RECOVERY_MS);
    }
  }
}
