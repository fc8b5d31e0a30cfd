import { RECOVERY_MS } from './error-report.js';
import type { FailureInfo, WaitingReason } from './model.js';

/** A wait shorter than this is not told, in ms: the state would only flicker. */
const SETTLE_MS = 500;

/** A wait of one job. */
interface Wait {
  readonly reason: WaitingReason;
  /** What made it wait, if that is known. */
  readonly failure: FailureInfo | undefined;
}

/** Who is told. What they throw is reported, and they are told again later. */
export interface WaitListener {
  /** Why it stands still: by the wait that began last. Told again when that has changed. */
  readonly onWaiting: (reason: WaitingReason, failure?: FailureInfo) => void;
  readonly onMoving: () => void;
  readonly onError: (error: unknown) => void;
}

/** Sees when a transfer stands still: all its jobs wait for the network, a relay or the disk. */
export class WaitWatch {
  readonly #listener: WaitListener;
  readonly #waits = new Map<symbol, Wait>();
  #jobs = 0;
  /** The wait that was told, while it stands still. */
  #told: Wait | undefined;
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
  wait(reason: WaitingReason, failure?: FailureInfo): () => void {
    const key = Symbol(reason);
    this.#waits.set(key, { reason, failure });
    this.#look();
    return () => {
      this.#waits.delete(key);
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
    const wait = [...this.#waits.values()].at(-1);
    const still = wait !== undefined && this.#waits.size >= this.#jobs;
    if (still && (this.#told === undefined || !isSame(this.#told, wait))) {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        const now = [...this.#waits.values()].at(-1);
        if (now === undefined || this.#waits.size < this.#jobs) return;
        this.#tell(now, () => {
          this.#listener.onWaiting(now.reason, now.failure);
        });
      }, SETTLE_MS);
      return;
    }
    if (still) return;
    this.#stopTimer();
    if (this.#told === undefined || this.#jobs === 0) return;
    this.#tell(undefined, this.#listener.onMoving);
  }

  #tell(wait: Wait | undefined, tell: () => void): void {
    try {
      tell();
      this.#told = wait;
    } catch (error) {
      this.#listener.onError(error);
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#judge();
      }, RECOVERY_MS);
    }
  }
}

/** Whether clients would be told the same. */
function isSame(one: Wait, other: Wait): boolean {
  return (
    one.reason === other.reason &&
    one.failure?.code === other.failure?.code &&
    one.failure?.message === other.failure?.message
  );
}
