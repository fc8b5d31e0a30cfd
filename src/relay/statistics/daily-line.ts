import type { StoredBodies } from '../record-table.js';
import type { Period, StatisticsSnapshot } from './statistics.js';

const DAY_MS = 24 * 3600 * 1000;

/** What ends with the day before a time: the day, on Mondays the week, on the first the month (UTC). */
export function periodsEnding(now: number): readonly Period[] {
  const date = new Date(now);
  return [
    'day',
    ...(date.getUTCDay() === 1 ? (['week'] as const) : []),
    ...(date.getUTCDate() === 1 ? (['month'] as const) : []),
  ];
}

/** The beginning of the next day, UTC, in ms. */
export function nextMidnight(now: number): number {
  return (Math.floor(now / DAY_MS) + 1) * DAY_MS;
}

/** A line of the daily statistics, with its LF (protocol reference, section 11.5). */
export function formatDailyLine(
  { since, counts, downloaded }: StatisticsSnapshot,
  stored: StoredBodies,
  now: number,
): string {
  const ending = periodsEnding(now);
  const distinct = (period: Period): number | '' => (ending.includes(period) ? downloaded[period].size : '');
  const columns = [
    since.slice(0, 'YYYY-MM-DD'.length),
    counts.filesCreated,
    counts.fileRecipients,
    counts.filesUploaded,
    counts.filesDeleted,
    distinct('day'),
    distinct('week'),
    distinct('month'),
    counts.fileDownloads,
    counts.fileDownloadAcks,
    stored.count,
    stored.bytes,
    counts.filesExpired,
  ];
  return `${columns.join(',')}\n`;
}
