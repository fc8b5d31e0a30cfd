/** How far back the speed is measured, in ms: long enough to be steady, short enough to follow changes. */
const WINDOW_MS = 5000;
/** Less than this says nothing about a speed, in ms: the first bytes only fill the buffers of this machine. */
const LEAST_MS = 1000;

interface Sample {
  readonly time: number;
  readonly done: number;
}

/**
 * How fast a transfer is at the moment, from the first byte that moved: what came before, such as connecting, says nothing
 * about it.
 */
export class SpeedMeter {
  /** By time: one that lies before the window or at its beginning, and all after it. */
  #samples: Sample[] = [];

  /**
   * @param done bytes so far
   * @param time in ms, on any clock
   */
  add(done: number, time: number): void {
    const last = this.#samples.at(-1);
    if (done <= 0 && last === undefined) return;
    // Some are to be moved again: that takes nothing from the speed of those that have moved.
    const repeated = Math.max(0, (last?.done ?? 0) - done);
    const samples = this.#samples.map((sample) => ({ ...sample, done: sample.done - repeated }));
    const first = samples.findLastIndex((sample) => sample.time <= time - WINDOW_MS);
    this.#samples = [...samples.slice(Math.max(0, first)), { time, done }];
  }

  /** Bytes per second; undefined as long as there is too little to measure it by. */
  get speed(): number | undefined {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || last.time - first.time < LEAST_MS) return undefined;
    return ((last.done - first.done) / (last.time - first.time)) * 1000;
  }
}
