import type { Clock } from './clock.js';

/** Which way the bytes go. */
export type Direction = 'up' | 'down';

/** So many chunks for each place have to get through before it is judged whether the width is right. */
const CHUNKS_PER_PLACE = 2;
/** One more chunk at once helps when that moves so many times as many bytes in the same time. */
const WORTHWHILE = 1.1;
/** Most rounds between two attempts to be wider: a way that got better is used within some dozens of chunks. */
const MAX_PATIENCE = 8;

/** One chunk on a way. Exactly one of its methods has to be called; what comes after that counts for nothing. */
export interface Crossing {
  /** Whether it had the way for itself, from when the way broke last, or was new, until now. */
  readonly isAlone: () => boolean;
  /** It got through. */
  readonly arrived: (bytes: number) => void;
  /** The way broke or stood still with a part of it on it. */
  readonly lost: () => void;
  /** Neither: it was stopped, or failed for another reason. */
  readonly left: () => void;
}

/**
 * How many chunks are on one way at once. It begins with as many as may be. Each time that the way breaks the number is
 * halved, since a few chunks that get through between two breaks are worth more than many that do not. Then one more is
 * tried now and then, and stays when more bytes get through with it.
 */
export class PathWidth {
  readonly #clock: Clock;
  #most: number;
  #width: number;
  readonly #crossings = new Set<{ alone: boolean; readonly round: number }>();
  /** Whether no chunk has begun since the way broke, or was new. */
  #fresh = true;
  /** Grows with each change of the width: chunks from before tell nothing about the new one. */
  #round = 0;
  /** What got through in this round, and how many were on the way at once at most. */
  #chunks = 0;
  #bytes = 0;
  #peak = 0;
  /** Time with a chunk on the way in this round, in ms, and since when there is one. */
  #busyMs = 0;
  #busySince = 0;
  /** Bytes per ms before the last one was added; none unless that is being tried. */
  #before: number | undefined;
  /** Rounds without a break before one more is tried, and how many are left. */
  #patience = 1;
  #left = 1;

  /** @param most the largest width, which it begins with */
  constructor(clock: Clock, most: number) {
    this.#clock = clock;
    this.#most = most;
    this.#width = most;
  }

  /** Chunks that may be on the way at once, at least 1. */
  get width(): number {
    return this.#width;
  }

  /** A way that never broke is as wide as it may be. */
  setMost(most: number): void {
    if (this.#width === this.#most || this.#width > most) this.#restart(most);
    this.#most = most;
  }

  /** A chunk goes on its way. */
  begin(): Crossing {
    if (this.#crossings.size === 0) this.#busySince = this.#clock.monotonic();
    const crossing = { alone: this.#fresh && this.#crossings.size === 0, round: this.#round };
    this.#fresh = false;
    for (const other of this.#crossings) other.alone = false;
    this.#crossings.add(crossing);
    this.#peak = Math.max(this.#peak, this.#underWay);
    const end = (tell: () => void): void => {
      if (!this.#crossings.delete(crossing)) return;
      this.#stopWatch();
      tell();
    };
    return {
      isAlone: () => crossing.alone,
      arrived: (bytes) => {
        end(() => {
          if (crossing.round === this.#round) this.#arrived(bytes);
        });
      },
      lost: () => {
        end(() => {
          this.#fresh = true;
          // One break takes all chunks that are on the way.
          if (crossing.round === this.#round) this.#broke();
        });
      },
      left: () => {
        end(() => undefined);
      },
    };
  }

  #arrived(bytes: number): void {
    this.#chunks += 1;
    this.#bytes += bytes;
    if (this.#width === this.#most && this.#before === undefined) return;
    if (this.#chunks < CHUNKS_PER_PLACE * this.#width) return;
    // With fewer chunks than places the width was not what held them up.
    if (this.#peak < this.#width) {
      this.#measure();
      return;
    }
    const rate = this.#bytes / Math.max(1, this.#busyMs);
    const before = this.#before;
    this.#before = undefined;
    if (before !== undefined && rate < WORTHWHILE * before) {
      this.#discourage();
      this.#restart(this.#width - 1);
      return;
    }
    if (before !== undefined) this.#patience = 1;
    else this.#left -= 1;
    if (this.#width < this.#most && (before !== undefined || this.#left <= 0)) {
      this.#left = this.#patience;
      this.#before = rate;
      this.#restart(this.#width + 1);
    } else this.#measure();
  }

  #broke(): void {
    // Without a wider try before it, the break says nothing against another one.
    if (this.#before !== undefined) this.#discourage();
    this.#before = undefined;
    this.#left = this.#patience;
    this.#restart(Math.max(1, Math.floor(this.#width / 2)));
  }

  #discourage(): void {
    this.#patience = Math.min(2 * this.#patience, MAX_PATIENCE);
    this.#left = this.#patience;
  }

  #restart(width: number): void {
    this.#width = width;
    this.#round += 1;
    this.#measure();
  }

  #measure(): void {
    this.#chunks = 0;
    this.#bytes = 0;
    this.#peak = this.#underWay;
    this.#busyMs = 0;
    this.#busySince = this.#clock.monotonic();
  }

  /** Chunks of this round that are on the way. */
  get #underWay(): number {
    return [...this.#crossings].filter(({ round }) => round === this.#round).length;
  }

  #stopWatch(): void {
    const now = this.#clock.monotonic();
    this.#busyMs += now - this.#busySince;
    this.#busySince = now;
  }
}
