import { humanDuration, XftpError } from '../protocol/index.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const WEEK = 7 * DAY;
const UNITS: Readonly<Record<string, number>> = { s: SECOND, m: MINUTE, h: HOUR, d: DAY, w: WEEK };

/** No transfer is tried for longer than this; a longer time is a mistake. */
const MAX_DURATION = 3650 * DAY;

/**
 * Milliseconds that a text such as `90s`, `30m`, `1h30m`, `2d` or `1w` stands for.
 *
 * @throws XftpError INVALID_ARGUMENT for any other text, for nothing at all and for more than ten years
 */
export function parseDuration(text: string): number {
  if (!/^(?:\d{1,9}[smhdw])+$/.test(text))
    throw new XftpError('INVALID_ARGUMENT', 'A duration is written like 90s, 30m, 1h30m, 2d or 1w.');
  let sum = 0;
  for (const [, digits, unit = ''] of text.matchAll(/(\d+)([smhdw])/g))
    sum += Number(digits) * (UNITS[unit] ?? 0);
  if (sum > 0 && sum <= MAX_DURATION) return sum;
  throw new XftpError('INVALID_ARGUMENT', 'A duration is longer than nothing and at most ten years.');
}

/** A time seen from now: `just now`, `5 min ago`, `in 3 h`, `2 days ago`. Both in milliseconds since 1970. */
export function relativeTime(time: number, now: number): string {
  const distance = Math.abs(time - now);
  if (distance < 10 * SECOND) return time > now ? 'in a moment' : 'just now';
  const text = coarse(distance);
  return time > now ? `in ${text}` : `${text} ago`;
}

/** A time as people write it in their own time zone, and seen from now. */
export function fullTime(time: number, now: number): string {
  return `${localTime(time)} (${relativeTime(time, now)})`;
}

/** A time as people write it in their own time zone, which is named by its distance from UTC. */
export function localTime(time: number): string {
  const date = new Date(time);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${String(date.getFullYear())}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  const east = -date.getTimezoneOffset();
  const hours = two(Math.floor(Math.abs(east) / 60));
  const zone = `${east < 0 ? '-' : '+'}${hours}:${two(Math.abs(east) % 60)}`;
  return `${day} ${clock} ${east === 0 ? 'UTC' : zone}`;
}

/** How long something has lasted, for people. */
export function elapsed(ms: number): string {
  return ms < DAY ? humanDuration(ms / SECOND) : coarse(ms);
}

function coarse(ms: number): string {
  if (ms < MINUTE) return `${String(Math.floor(ms / SECOND))} s`;
  if (ms < HOUR) return `${String(Math.floor(ms / MINUTE))} min`;
  if (ms < DAY) return `${String(Math.floor(ms / HOUR))} h`;
  const days = Math.floor(ms / DAY);
  return `${String(days)} ${days === 1 ? 'day' : 'days'}`;
}
