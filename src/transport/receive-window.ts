import type { Pacing } from './pace.js';

/** Window of a stream that nothing limits, in bytes: one chunk and more in flight, so that long fat links stay full. */
export const LARGEST_WINDOW = 8 * 1024 * 1024;
/** The same where a rate holds, in seconds of it: what is in flight already cannot be held back any more. */
const PACED_WINDOW_SECONDS = 1 / 12;
/** Least window, in bytes: one frame. */
const SMALLEST_WINDOW = 16 * 1024;
/** Least time between two changes, in ms: official relays close connections that see several in a second. */
const PAUSE_MS = 1000;

/**
 * How far relays may be ahead on each stream of a connection. There is one window for all of them, so it is that of the
 * fastest download under way; slower ones are held back by what is not read.
 */
export class ReceiveWindow {
  readonly #tell: (bytes: number, onTaken: () => void) => void;
  readonly #downloads = new Set<{ readonly pace: Pacing | undefined }>();
  #told = LARGEST_WINDOW;
  /** Whether the other side has yet to take the last change, or has taken it just now. */
  #resting = false;
  #timer: NodeJS.Timeout | undefined;

  /** @param tell tells the other side, which starts from {@link LARGEST_WINDOW}, and calls back when it has taken that */
  constructor(tell: (bytes: number, onTaken: () => void) => void) {
    this.#tell = tell;
  }

  /** Counts a download until the function it returns is called. */
  begin(pace: Pacing | undefined): () => void {
    const download = { pace };
    this.#downloads.add(download);
    this.fit();
    return () => {
      this.#downloads.delete(download);
      this.fit();
    };
  }

  /** To be called now and then: rates change while downloads are under way. */
  fit(): void {
    // Nobody to fit to: the next download may well be as fast as the last one.
    if (this.#resting || this.#downloads.size === 0) return;
    const wanted = Math.max(...Array.from(this.#downloads, ({ pace }) => windowFor(pace?.rate)));
    if (wanted === this.#told) return;
    this.#told = wanted;
    this.#resting = true;
    this.#tell(wanted, () => {
      this.#timer = setTimeout(() => {
        this.#resting = false;
        this.fit();
      }, PAUSE_MS).unref();
    });
  }

  /** Ends it with the connection. */
  close(): void {
    this.#resting = true;
    clearTimeout(this.#timer);
  }
}

function windowFor(rate: number | undefined): number {
  if (rate === undefined) return LARGEST_WINDOW;
  return Math.min(LARGEST_WINDOW, Math.max(SMALLEST_WINDOW, Math.round(rate * PACED_WINDOW_SECONDS)));
}
