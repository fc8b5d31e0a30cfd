import type { TransferProgress } from '../transfer/index.js';
import { humanDuration, humanSize } from '../protocol/index.js';
import { SpeedMeter } from './speed-meter.js';

/** Time between two updates, in milliseconds: smooth for the eye, nothing for the processor. */
const UPDATE_MS = 100;

const DEFAULT_COLUMNS = 80;

/** What the line needs of a terminal. */
export type LineTerminal = Pick<NodeJS.WriteStream, 'columns' | 'write'>;

/** One line on a terminal that shows how a transfer goes: bytes, share, speed, time left. */
export class ProgressLine {
  readonly #label: string;
  readonly #terminal: LineTerminal;
  readonly #meter = new SpeedMeter();
  #lastUpdate = -Infinity;
  #shown = false;

  /** @param label what is going on, such as `Uploading` */
  constructor(label: string, terminal: LineTerminal) {
    this.#label = label;
    this.#terminal = terminal;
  }

  /** @param now in ms, on a clock that only goes forward */
  update(progress: TransferProgress, now = performance.now()): void {
    if (now - this.#lastUpdate < UPDATE_MS && progress.done < progress.total) return;
    this.#meter.add(progress.done, now);
    this.#lastUpdate = now;
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

  #text({ done, total }: TransferProgress): string {
    const percent = total === 0 ? 100 : Math.floor((done / total) * 100);
    const { speed } = this.#meter;
    const pace = speed === undefined ? '' : `, ${humanSize(speed)}/s`;
    const left =
      speed !== undefined && speed > 0 && done < total
        ? `, ${humanDuration((total - done) / speed)} left`
        : '';
    return `${this.#label} ${humanSize(done)} of ${humanSize(total)} (${String(percent)} %)${pace}${left}`;
  }
}
