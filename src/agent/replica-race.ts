import { throwIfAborted } from '../transport/index.js';
import { asError } from './error-report.js';

/** After so long without a byte another replica is downloaded too, in ms: well before the request counts as stalled. */
const STILL_MS = 5000;

/** One who downloads the chunk, for as long as the race is not over. */
export interface Racer {
  /** Aborts when the race is stopped, or another one has won. */
  readonly signal: AbortSignal;
  /** Bytes move: it does not stand still. */
  readonly moved: () => void;
  /** Writes what it has got, unless another one has done that. The first one to end this well wins. */
  readonly finish: (write: () => Promise<void>) => Promise<void>;
}

/** What runs a racer to its end. */
type Drive = (racer: Racer) => Promise<void>;

/** One chunk, downloaded from one relay; from a second one too when the first stands still. */
export class ReplicaRace {
  readonly #stop: AbortSignal;
  readonly #over = new AbortController();
  readonly #signal: AbortSignal;
  #winner: Racer | undefined;
  #writing: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  /** @param stop ends the race without a winner */
  constructor(stop: AbortSignal) {
    this.#stop = stop;
    this.#signal = AbortSignal.any([stop, this.#over.signal]);
  }

  /**
   * Runs the race; gives whether somebody has won.
   *
   * @param rival called when the first one stands still, until it gives who else could run
   * @throws what a racer throws that has not lost, and what `rival` throws
   */
  async run(first: Drive, rival: () => Drive | undefined): Promise<boolean> {
    let second: Promise<void> | undefined;
    const onStill = (): void => {
      let drive: Drive | undefined;
      try {
        drive = rival();
      } catch (error) {
        // Nobody catches what a timer throws. It ends the race as a failure of the one who could not be found.
        drive = () => Promise.reject(asError(error));
      }
      if (drive === undefined) return;
      second = this.#drive(drive, () => undefined);
      // Looked at when the first one has ended.
      second.catch(() => undefined);
    };
    let ended = false;
    const moved = (): void => {
      clearTimeout(this.#timer);
      if (second === undefined && !ended) this.#timer = setTimeout(onStill, STILL_MS);
    };
    try {
      await this.#drive(first, moved);
    } finally {
      ended = true;
      clearTimeout(this.#timer);
      // Only its own failure counts when the first one has failed, too.
      await second;
    }
    return this.#winner !== undefined;
  }

  async #drive(drive: Drive, moved: () => void): Promise<void> {
    const racer: Racer = {
      signal: this.#signal,
      moved,
      finish: (write) => this.#finish(racer, write),
    };
    try {
      await drive(racer);
    } catch (error) {
      const lost = this.#over.signal.aborted && this.#winner !== racer && !this.#stop.aborted;
      if (lost) return;
      this.#over.abort();
      throw error;
    }
  }

  /** One after the other: both may have the whole chunk. */
  async #finish(racer: Racer, write: () => Promise<void>): Promise<void> {
    const before = this.#writing;
    const writing = (async () => {
      await before.catch(() => undefined);
      throwIfAborted(this.#signal);
      await write();
      this.#winner = racer;
      this.#over.abort();
    })();
    this.#writing = writing;
    await writing;
  }
}
