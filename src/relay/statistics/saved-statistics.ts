import { XftpError } from '../../protocol/index.js';
import type { StoredBodies } from '../record-table.js';
import { type Counter, COUNTERS, type Period, PERIODS, type StatisticsSnapshot } from './statistics.js';

/** The lines of the sets of downloaded chunks. */
const HASHES_OF: Readonly<Record<Period, string>> = {
  day: 'dayHashes',
  week: 'weekHashes',
  month: 'monthHashes',
};
/** An ISO 8601 time in UTC, with as many digits behind the second as anybody has. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,12})?Z$/;

/** Statistics as they are kept over a restart (protocol reference, section 11.5): 15 lines. */
export function formatSavedStatistics(
  { since, counts, downloaded }: StatisticsSnapshot,
  stored: StoredBodies,
): string {
  const count = (name: Counter): string => `${name}=${String(counts[name])}`;
  return [
    `fromTime=${since}`,
    count('filesCreated'),
    count('fileRecipients'),
    count('filesUploaded'),
    count('filesExpired'),
    count('filesDeleted'),
    count('filesBlocked'),
    `filesCount=${String(stored.count)}`,
    `filesSize=${String(stored.bytes)}`,
    'filesDownloaded:',
    ...PERIODS.map((period) => `${HASHES_OF[period]}=${[...downloaded[period]].join(',')}`),
    count('fileDownloads'),
    count('fileDownloadAcks'),
    '',
  ].join('\n');
}

/**
 * Reads saved statistics. Counters that are missing, as in files of older versions, are 0; count and size of the stored
 * chunks are not read, since the records tell them.
 *
 * @throws XftpError INVALID_ENCODING
 */
export function parseSavedStatistics(text: string): StatisticsSnapshot {
  const values = new Map<string, string>();
  for (const line of text.split('\n')) {
    if (line === '' || line === 'filesDownloaded:') continue;
    const separator = line.indexOf('=');
    if (separator <= 0) throw unreadable();
    values.set(line.slice(0, separator), line.slice(separator + 1));
  }
  const since = values.get('fromTime') ?? '';
  if (!TIME.test(since) || Number.isNaN(Date.parse(since))) throw unreadable();
  const hashes = (period: Period): ReadonlySet<bigint> => parseHashes(values.get(HASHES_OF[period]) ?? '');
  return {
    since,
    counts: Object.fromEntries(COUNTERS.map((name) => [name, parseCount(values.get(name) ?? '0')])) as Record<
      Counter,
      number
    >, // from all counters
    downloaded: { day: hashes('day'), week: hashes('week'), month: hashes('month') },
  };
}

function parseCount(text: string): number {
  const count = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(count)) throw unreadable();
  return count;
}

function parseHashes(text: string): ReadonlySet<bigint> {
  if (text === '') return new Set();
  const words = text.split(',');
  if (!words.every((word) => /^-?\d{1,19}$/.test(word))) throw unreadable();
  return new Set(words.map(BigInt));
}

function unreadable(): XftpError {
  return new XftpError('INVALID_ENCODING', 'These are no saved statistics.');
}
