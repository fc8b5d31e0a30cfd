/** Time limits of a connection, in milliseconds. */
export interface Deadlines {
  /** From the first packet to the end of the TLS handshake, and as long again for the handshake of XFTP. */
  readonly connectMs: number;
  /** Longest time without a byte in either direction while a request is under way. */
  readonly stallMs: number;
}

/** The connect limit is the reference client's; the stall limit leaves room for slow circuits. */
export const DEFAULT_DEADLINES: Deadlines = { connectMs: 45_000, stallMs: 60_000 };

/** Calls `onStall` once, when `touch` has not been called for `stallMs` milliseconds. */
export class StallTimer {
  readonly #timer: NodeJS.Timeout;

  constructor(stallMs: number, onStall: () => void) {
    this.#timer = setTimeout(onStall, stallMs);
  }

  /** Something moved: the time starts anew. */
  touch(): void {
    this.#timer.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
