/** Longest burst after a pause, in seconds of the rate: a short one, so that the rate holds over a few seconds. */
const BURST_SECONDS = 0.1;
/** Smallest piece that is sent or taken at once, in bytes: below, the overhead would be most of it. */
const MIN_PIECE = 4 * 1024;

/** Shorter waits than a timer can measure well are left for later, in ms. */
const MIN_WAIT_MS = 5;
/** So soon whoever waits sees that the rate has changed, in ms. */
const LOOK_MS = 500;

/** What the bytes of a request are held to. */
export interface Pacing {
  /** Bytes per second; undefined for no limit. */
  readonly rate: number | undefined;
  /** How many bytes to move at once, at most `largest`. */
  pieceSize(largest: number): number;
  /** Counts bytes; gives how long until all that were counted so far are within the rate, in ms. */
  spend(bytes: number): number;
}

/** Options of a pace. */
export interface PaceOptions {
  /** The most that is moved at once, in bytes: for a process in which others wait for their turn. No limit unless given. */
  readonly largestPiece?: number;
  /** Monotonic time in ms. */
  readonly now?: () => number;
}

/** Holds the bytes of many requests together to a rate. */
export class Pace implements Pacing {
  readonly #largestPiece: number;
  readonly #now: () => number;
  #rate: number | undefined;
  /** Monotonic time in ms at which all bytes so far are paid for. */
  #paidUntil = 0;

  /** @param rate bytes per second; undefined for no limit */
  constructor(rate?: number, { largestPiece = Infinity, now = () => performance.now() }: PaceOptions = {}) {
    this.#rate = rate;
    this.#largestPiece = largestPiece;
    this.#now = now;
  }

  get rate(): number | undefined {
    return this.#rate;
  }

  /** Changes the rate while requests are under way. */
  setRate(rate: number | undefined): void {
    // What is owed stays owed when the rate does.
    if (rate === this.#rate) return;
    this.#rate = rate;
    this.#paidUntil = Math.min(this.#paidUntil, this.#now());
  }

  pieceSize(largest: number): number {
    const most = Math.min(largest, this.#largestPiece);
    if (this.#rate === undefined) return most;
    return Math.max(MIN_PIECE, Math.min(most, Math.floor(this.#rate * BURST_SECONDS)));
  }

  spend(bytes: number): number {
    if (this.#rate === undefined) return 0;
    const now = this.#now();
    const earliest = now - BURST_SECONDS * 1000;
    this.#paidUntil = Math.max(this.#paidUntil, earliest) + (bytes * 1000) / this.#rate;
    return Math.max(0, this.#paidUntil - now);
  }
}

/** Holds bytes to two rates at once. */
export function bothPaces(one: Pacing, other: Pacing): Pacing {
  return {
    get rate() {
      if (one.rate === undefined || other.rate === undefined) return one.rate ?? other.rate;
      return Math.min(one.rate, other.rate);
    },
    pieceSize: (largest) => Math.min(one.pieceSize(largest), other.pieceSize(largest)),
    spend: (bytes) => Math.max(one.spend(bytes), other.spend(bytes)),
  };
}

/**
 * Counts bytes and calls `go` when they are within the rate, at once or later; they are counted anew when the rate
 * changes meanwhile.
 *
 * @param onWait called now and then while it waits, and first of all when it has to
 * @returns what ends the wait without a call
 */
export function whenPaid(pace: Pacing, bytes: number, go: () => void, onWait: () => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const count = (): void => {
    const { rate } = pace;
    const wait = pace.spend(bytes);
    if (wait < MIN_WAIT_MS) go();
    else sleep(performance.now() + wait, rate);
  };
  const sleep = (until: number, rate: number | undefined): void => {
    onWait();
    const left = until - performance.now();
    timer = setTimeout(
      () => {
        if (pace.rate !== rate) count();
        else if (left <= LOOK_MS) go();
        else sleep(until, rate);
      },
      Math.min(left, LOOK_MS),
    );
  };
  count();
  return () => {
    clearTimeout(timer);
  };
}
