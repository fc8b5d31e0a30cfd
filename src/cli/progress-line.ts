import type { TransferProgress } from '../transfer/index.js';
import { humanDuration, humanSize } from '../protocol/index.js';

/** Time between two updates, in milliseconds: smooth for the eye, nothing for the processor. */
const UPDATE_MS = 100;
/** Weight of the newest speed measurement in the moving average, per second of it. */
const SMOOTHING_PER_SECOND = 0.5;

const DEFAULT_COLUMNS = 80;

/** One line on a terminal that shows how a transfer goes: bytes, share, speed, time left. */
export class ProgressLine {
  readonly #label: string;
  readonly #terminal: NodeJS.WriteStream;
  #lastUpdate = performance.now();
  #lastDone = 0;
  #speed: number | undefined;
  #shown = false;

  /** @param label what is going on, such as `Uploading` */
  constructor(label: string, terminal: NodeJS.WriteStream) {
    this.#label = label;
    this.#terminal = terminal;
  }

  update(progress: TransferProgress): void {
    const now = performance.now();
    const seconds = (now - this.#lastUpdate) / 1000;
    if (seconds * 1000 < UPDATE_MS && progress.done < progress.total) return;
    this.#measure(progress.done, seconds);
    this.#lastUpdate = now;
    this.#lastDone = progress.done;
    this.#shown = true;
    // Some terminals do not know their width.
    const columns = this.#terminal.columns > 0 ? this.#terminal.columns : DEFAULT_COLUMNS;
    this.#terminal.write(`\r\x1b[2K${this.#text(progress).slice(0, columns - 1)}`);
  }

  /** Removes the line, so that other output can follow. */
  clear(): void {
    if (this.#shown) this.#terminal.write('\r\x1b[2K');
    this.#shown = false;
  }

  #measure(done: number, seconds: number): void {
    if (seconds <= 0) return;
    const current = Math.max(0, done - this.#lastDone) / seconds;
    const weight = this.#speed === undefined ? 1 : Math.min(1, seconds * SMOOTHING_PER_SECOND);
    this.#speed = (this.#speed ?? 0) * (1 - weight) + current * weight;
  }

  #text({ done, total }: TransferProgress): string {
    const percent = total === 0 ? 100 : Math.floor((done / total) * 100);
    const speed = this.#speed ?? 0;
    const left = speed > 0 && done < total ? `, ${humanDuration((total - done) / speed)} left` : '';
    return (
      `${this.#label} ${humanSize(done)} of ${humanSize(total)} (${String(percent)} %), ` +
      `${humanSize(speed)}/s${left}`
    );
  }
}
