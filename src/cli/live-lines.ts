import { cutText } from './display-text.js';

/** Time between two redraws, in milliseconds: smooth for the eye, nothing for the processor. */
const REDRAW_MS = 100;

/** Sizes of terminals that do not know theirs. */
const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';
const CLEAR_BELOW = '\x1b[J';

/** What is used of a terminal. */
type Terminal = Pick<NodeJS.WriteStream, 'write' | 'columns' | 'rows'>;

/** Lines at the end of a terminal that change in place, while other lines scroll away above them. */
export class LiveLines {
  readonly #terminal: Terminal;
  readonly #lines: () => readonly string[];
  #shown = 0;
  #timer: NodeJS.Timeout | undefined;
  #hidden = false;

  /** @param lines what to show now, asked for whenever it may have changed */
  constructor(terminal: Terminal, lines: () => readonly string[]) {
    this.#terminal = terminal;
    this.#lines = lines;
  }

  /** The lines may have changed. */
  changed(): void {
    this.#timer ??= setTimeout(() => {
      this.#draw();
    }, REDRAW_MS);
  }

  /** A line that stays. */
  print(line: string): void {
    this.#terminal.write(`${this.#back()}${line}\n`);
    this.#shown = 0;
    this.#draw();
  }

  /** Removes the changing lines. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#terminal.write(this.#back() + (this.#hidden ? SHOW_CURSOR : ''));
    this.#shown = 0;
    this.#hidden = false;
  }

  #draw(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    // Some terminals do not know their size.
    const columns = this.#terminal.columns > 0 ? this.#terminal.columns : DEFAULT_COLUMNS;
    const rows = this.#terminal.rows > 0 ? this.#terminal.rows : DEFAULT_ROWS;
    const all = this.#lines();
    const room = Math.max(1, rows - 1);
    const lines =
      all.length > room
        ? [...all.slice(0, room - 1), `(and ${String(all.length - room + 1)} more)`]
        : [...all];
    const text = lines.map((line) => `${cutText(line, columns - 1)}\n`).join('');
    this.#terminal.write(`${this.#hidden ? '' : HIDE_CURSOR}${this.#back()}${text}`);
    this.#hidden = true;
    this.#shown = lines.length;
  }

  /** What takes the cursor to the first of the changing lines and clears them. */
  #back(): string {
    return this.#shown === 0 ? '' : `\x1b[${String(this.#shown)}A\r${CLEAR_BELOW}`;
  }
}
