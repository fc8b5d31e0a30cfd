import { cutToBytes, fitFileName } from '../protocol/index.js';

/** Used when nothing of a name is left. */
const FALLBACK_NAME = 'download';
/** Longest file name of common file systems, in bytes. */
const MAX_NAME_BYTES = 255;
/** Names tried before giving up: more files of one name in one folder are a mistake. */
export const MAX_NUMBERED = 10_000;

/** Control characters, and line and paragraph separators. */
const CONTROL = /[\p{Cc}\u2028\u2029]/gu;
/** Characters that change the direction of text or are invisible: they can hide a name's real ending. */
const INVISIBLE = /[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu;
/** Characters that Windows forbids in names (a colon would name another stream of the file). */
const FORBIDDEN = /[<>:"|?*]/g;
/** Windows drops dots and spaces at the end, which would turn one name into another. */
const IGNORED_END = /[. ]+$/;
/** Device names of Windows, with any extension. */
const DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?= *(?:\.|$))/i;

/**
 * Makes a file name from the network safe to use: its last path component, without control characters, text direction
 * overrides, characters and device names special to Windows, at most 255 bytes of UTF-8, never empty, `.` or `..`.
 */
export function safeFileName(name: string): string {
  const last = name.split(/[/\\]/).findLast((part) => part.length > 0) ?? '';
  const clean = last
    .replace(CONTROL, '_')
    .replace(INVISIBLE, '')
    .replace(FORBIDDEN, '_')
    .trimStart()
    .replace(IGNORED_END, '');
  // Cutting may leave another end.
  return fitFileName(DEVICE.test(clean) ? `_${clean}` : clean).replace(IGNORED_END, '') || FALLBACK_NAME;
}

/** `name` for `attempt` 0, then `name_1`, `name_2` …, the number before all extensions, at most 255 bytes. */
export function numberedName(name: string, attempt: number): string {
  if (attempt === 0) return name;
  const dot = name.indexOf('.');
  const stem = dot < 0 ? name : name.slice(0, dot);
  const extensions = dot < 0 ? '' : name.slice(dot);
  const numbered = `_${String(attempt)}${extensions}`;
  const room = MAX_NAME_BYTES - Buffer.byteLength(numbered);
  // A name that is one long extension is numbered at its end.
  if (room < 0)
    return cutToBytes(name, MAX_NAME_BYTES - `_${String(attempt)}`.length) + `_${String(attempt)}`;
  return cutToBytes(stem, room) + numbered;
}
