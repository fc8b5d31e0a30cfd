/** Time limits of a connection, in milliseconds. */
export interface Deadlines {
  /** From the first packet to the end of the TLS handshake, and as long again for the handshake of XFTP. */
  readonly connectMs: number;
  /** Longest time without a byte in either direction while a request is under way. */
  readonly stallMs: number;
}

/** The connect limit is the reference client's; the stall limit leaves room for slow circuits. */
export const DEFAULT_DEADLINES: Deadlines = { connectMs: 45_000, stallMs: 60_000 };

/**
 * The time is counted in so many parts: one in which this process stands still (stopped, suspended, or without a
 * processor) counts as one part, and what has come meanwhile is read before the next one ends.
 */
const PARTS = 4;

/** Calls `onStall` when `touch` has not been called for `stallMs` milliseconds, once for each touch. */
export class StallTimer {
  readonly #timer: NodeJS.Timeout;
  #partsLeft = PARTS;

  constructor(stallMs: number, onStall: () => void) {
    this.#timer = setTimeout(() => {
      this.#partsLeft -= 1;
      if (this.#partsLeft > 0) this.#timer.refresh();
      else onStall();
    }, stallMs / PARTS);
  }

  /** Something moved: the time starts anew. */
  touch(): void {
    this.#partsLeft = PARTS;
    this.#timer.refresh();
  }

  /** Nothing is called any more, also after a later touch. */
  stop(): void {
    clearTimeout(this.#timer);
  }
}
