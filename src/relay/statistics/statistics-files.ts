import { link, open, readFile, rename, rm, writeFile } from 'node:fs/promises';

import { isXftpError } from '../../protocol/index.js';
import { errorCode } from '../../system/index.js';
import { describeFileError } from '../file-errors.js';
import { formatDailyLine, nextMidnight, periodsEnding } from './daily-line.js';
import type { RelayFigures } from './figures.js';
import { formatMetricsFile } from './metrics-text.js';
import { formatSavedStatistics, parseSavedStatistics } from './saved-statistics.js';
import { RelayStatistics } from './statistics.js';

/** Where a relay writes its statistics, and how often. */
export interface StatisticsFileOptions {
  /** File that gets a line each day, and begins the counting anew. */
  readonly daily?: string;
  /** File that keeps the numbers over restarts. */
  readonly saved?: string;
  /** File of the metrics for Prometheus, and the time between two versions of it in seconds. */
  readonly metrics?: { readonly path: string; readonly seconds: number };
}

/** What the files are made from. */
export interface StatisticsSource {
  readonly statistics: RelayStatistics;
  readonly figures: () => Promise<RelayFigures>;
  /** Current time in ms. */
  readonly now: () => number;
  /** Told, in one sentence, when a file cannot be written. */
  readonly report: (problem: string) => void;
}

/** Statistics are the operator's alone. */
const PRIVATE = 0o600;
/** Metrics are read by a program of another user: they are sums, and nothing else. */
const READABLE = 0o644;
/** Time between two savings, in ms: what a crash may cost. The reference saves only when it ends. */
const SAVE_INTERVAL_MS = 10 * 60 * 1000;
/** Longest time that midnight is waited for without a look at the clock, in ms: clocks are set, and machines sleep. */
const MAX_WAIT_MS = 60_000;

/**
 * Takes up the numbers of an earlier run. The file stays as it is until {@link StatisticsFiles} first saves: a start that
 * fails must leave them to the next one.
 *
 * @param path where they were saved; undefined, or no file there: counting begins now
 */
export async function restoreStatistics(
  path: string | undefined,
  now: number,
  report: (problem: string) => void,
): Promise<RelayStatistics> {
  if (path === undefined) return new RelayStatistics(now);
  try {
    return new RelayStatistics(now, parseSavedStatistics(await readFile(path, 'utf8')));
  } catch (error) {
    if (isXftpError(error))
      report(`${path} does not hold saved statistics: it is kept as ${path}.bak, and counting begins anew.`);
    else if (errorCode(error) !== 'ENOENT')
      report(
        describeFileError(
          error,
          `${path} cannot be read and is kept as ${path}.bak, and counting begins anew`,
        ).message,
      );
    return new RelayStatistics(now);
  }
}

/** Writes the statistics of a relay while it runs. What cannot be written is reported, and tried again later. */
export class StatisticsFiles {
  readonly #options: StatisticsFileOptions;
  readonly #source: StatisticsSource;
  readonly #timers: NodeJS.Timeout[] = [];
  #midnightTimer: NodeJS.Timeout | undefined;
  #stopped = false;
  /** Files whose trouble was told: it is told again only after they could be written. */
  readonly #unwritable = new Set<string>();
  #midnight: number;
  #writing = Promise.resolve();
  /** Whether the saved numbers of the run before have been put aside. */
  #earlierKept = false;

  constructor(options: StatisticsFileOptions, source: StatisticsSource) {
    this.#options = options;
    this.#source = source;
    this.#midnight = nextMidnight(source.now());
  }

  /** Begins, with the files that there can be right now. Resolves when the numbers are saved. */
  async start(): Promise<void> {
    const { metrics, saved } = this.#options;
    const every = (ms: number, act: () => Promise<void>): void => {
      this.#timers.push(setInterval(() => void act(), ms).unref());
    };
    this.#awaitMidnight();
    if (metrics !== undefined) {
      void this.writeMetrics();
      every(metrics.seconds * 1000, () => this.writeMetrics());
    }
    if (saved !== undefined) {
      every(SAVE_INTERVAL_MS, () => this.save());
      await this.save();
    }
  }

  /** Ends, and saves for the next start. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#midnightTimer);
    await this.save();
  }

  /**
   * When a new day has begun: writes the line of the one before, and counts anew. A line that cannot be written is tried
   * again later, with what has been counted until then. Happens by itself.
   */
  endDay(): Promise<void> {
    return this.#inTurn(async () => {
      const { statistics, now } = this.#source;
      const time = now();
      if (time < this.#midnight) return;
      const { daily } = this.#options;
      if (daily !== undefined) {
        const written = await this.#attempt(daily, ({ stored, statistics: snapshot }) =>
          appendWhole(daily, formatDailyLine(snapshot, stored, time)),
        );
        if (!written) return;
        statistics.restart(time);
      }
      this.#midnight = nextMidnight(time);
      for (const period of periodsEnding(time)) statistics.begin(period);
    });
  }

  /**
   * Writes the numbers for the next start. The first time, those of the run before are kept as `.bak` (protocol reference,
   * section 11.2); if they cannot be, nothing is written. Happens by itself.
   */
  save(): Promise<void> {
    const { saved } = this.#options;
    if (saved === undefined) return Promise.resolve();
    return this.#inTurn(() =>
      this.#replace(
        saved,
        ({ statistics, stored }) => formatSavedStatistics(statistics, stored),
        PRIVATE,
        () => this.#keepEarlier(saved),
      ),
    );
  }

  /** Writes the file for Prometheus. Happens by itself. */
  writeMetrics(): Promise<void> {
    const { metrics } = this.#options;
    if (metrics === undefined) return Promise.resolve();
    return this.#inTurn(() =>
      this.#replace(metrics.path, (figures) => formatMetricsFile(figures, this.#source.now()), READABLE),
    );
  }

  #awaitMidnight(): void {
    const left = this.#midnight - this.#source.now();
    // A midnight that has passed is one whose line could not be written.
    const wait = left > 0 ? Math.min(MAX_WAIT_MS, left) : MAX_WAIT_MS;
    this.#midnightTimer = setTimeout(() => {
      void this.endDay().then(() => {
        if (!this.#stopped) this.#awaitMidnight();
      });
    }, wait).unref();
  }

  /** One at a time: two versions of a file must not meet. Whatever becomes of one, the next has its turn. */
  #inTurn(act: () => Promise<void>): Promise<void> {
    this.#writing = this.#writing.then(act, act);
    return this.#writing;
  }

  /** They may be the only copy: that they could be read does not count, since another name needs no right to read. */
  async #keepEarlier(path: string): Promise<void> {
    if (this.#earlierKept) return;
    try {
      await alsoName(path, `${path}.bak`);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT')
        throw describeFileError(
          error,
          `${path} cannot be renamed to ${path}.bak, and no statistics are saved until one of them is moved away`,
        );
    }
    this.#earlierKept = true;
  }

  /**
   * Readers find the old text or the new one, never a half.
   *
   * @param prepare done when the new text is on the disk and the old one still in its place
   */
  async #replace(
    path: string,
    textOf: (figures: RelayFigures) => string,
    mode: number,
    prepare?: () => Promise<void>,
  ): Promise<void> {
    await this.#attempt(path, async (figures) => {
      await writeFile(`${path}.new`, textOf(figures), { mode });
      await prepare?.();
      await rename(`${path}.new`, path);
    });
  }

  /** Whether the file could be written; it cannot either when the figures cannot be had. */
  async #attempt(path: string, act: (figures: RelayFigures) => Promise<void>): Promise<boolean> {
    try {
      await act(await this.#source.figures());
      this.#unwritable.delete(path);
      return true;
    } catch (error) {
      if (!this.#unwritable.has(path))
        this.#source.report(describeFileError(error, `${path} cannot be written`).message);
      this.#unwritable.add(path);
      return false;
    }
  }
}

/** Adds a line to a file, or, as on a full disk, nothing: a half of it would spoil the next one. */
async function appendWhole(path: string, line: string): Promise<void> {
  const file = await open(path, 'a', PRIVATE);
  try {
    const { size } = await file.stat();
    try {
      await file.appendFile(line);
    } catch (error) {
      await file.truncate(size);
      throw error;
    }
  } finally {
    await file.close();
  }
}

/** Gives a file another name besides its own; a crash at any point leaves its own. Where there are no links it moves. */
async function alsoName(path: string, name: string): Promise<void> {
  const linked = `${name}.new`;
  try {
    await rm(linked, { force: true });
    await link(path, linked);
  } catch {
    await rename(path, name);
    return;
  }
  await rename(linked, name);
}
