import { sha256 } from '../../crypto/index.js';

/** What is counted, by the names in the saved statistics (protocol reference, section 11.5). */
export const COUNTERS = [
  'filesCreated',
  'fileRecipients',
  'filesUploaded',
  'filesExpired',
  'filesDeleted',
  'filesBlocked',
  'fileDownloads',
  'fileDownloadAcks',
] as const;

/** The name of a counter. "Files" are what this project calls chunks. */
export type Counter = (typeof COUNTERS)[number];

/** Times over which distinct downloaded chunks are counted. */
export const PERIODS = ['day', 'week', 'month'] as const;

/** The name of such a time. */
export type Period = (typeof PERIODS)[number];

/** Statistics at one moment. */
export interface StatisticsSnapshot {
  /** When counting began: ISO 8601, UTC, with up to nanoseconds. */
  readonly since: string;
  readonly counts: Readonly<Record<Counter, number>>;
  /** Chunks downloaded in the running day, week and month: a 64-bit number stands for each. */
  readonly downloaded: Readonly<Record<Period, ReadonlySet<bigint>>>;
}

/** Counts what happens to chunks. Knows numbers only: no address, no identifier, no time of a single event. */
export class RelayStatistics {
  #since: string;
  #counts: Record<Counter, number>;
  readonly #downloaded: Readonly<Record<Period, Set<bigint>>>;

  /** @param from where an earlier run stopped */
  constructor(now: number, from: StatisticsSnapshot = emptyStatistics(now)) {
    this.#since = from.since;
    this.#counts = { ...from.counts };
    const { day, week, month } = from.downloaded;
    this.#downloaded = { day: new Set(day), week: new Set(week), month: new Set(month) };
  }

  /** Adds to a counter. */
  count(counter: Counter, by = 1): void {
    this.#counts[counter] += by;
  }

  /** Counts a download of a chunk. */
  downloaded(senderId: Uint8Array): void {
    this.#counts.fileDownloads += 1;
    const id = numberOf(senderId);
    for (const period of PERIODS) this.#downloaded[period].add(id);
  }

  /** The numbers as they are now; later events do not change them, but for the sets. */
  get snapshot(): StatisticsSnapshot {
    return { since: this.#since, counts: { ...this.#counts }, downloaded: this.#downloaded };
  }

  /** Begins to count from 0. */
  restart(now: number): void {
    this.#since = new Date(now).toISOString();
    this.#counts = zeroCounts();
  }

  /** Begins a new day, week or month. */
  begin(period: Period): void {
    this.#downloaded[period].clear();
  }
}

function emptyStatistics(now: number): StatisticsSnapshot {
  const none = new Set<bigint>();
  return {
    since: new Date(now).toISOString(),
    counts: zeroCounts(),
    downloaded: { day: none, week: none, month: none },
  };
}

function zeroCounts(): Record<Counter, number> {
  return {
    filesCreated: 0,
    fileRecipients: 0,
    filesUploaded: 0,
    filesExpired: 0,
    filesDeleted: 0,
    filesBlocked: 0,
    fileDownloads: 0,
    fileDownloadAcks: 0,
  };
}

/** Tells chunks apart, and leads back to none. */
function numberOf(senderId: Uint8Array): bigint {
  return Buffer.from(sha256(senderId)).readBigInt64BE(0);
}
