/** Time, handed in so that tests can move it. */
export interface Clock {
  /** Wall clock, in ms since 1970: only for deadlines and for what people read. It may jump. */
  readonly now: () => number;
  /** Monotonic time in ms, for pauses and rates. */
  readonly monotonic: () => number;
}

/** The machine's clocks. */
export const SYSTEM_CLOCK: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};
