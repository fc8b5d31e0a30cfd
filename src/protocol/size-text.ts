import { XftpError } from './failure.js';

const KB = 1024;
const MB = KB * 1024;
const GB = MB * 1024;

const UNITS = { gb: GB, mb: MB, kb: KB } as const;

/** No more digits than the largest safe integer has. */
const PATTERN = /^(\d{1,16})(gb|mb|kb)?$/;

/**
 * A size in bytes as descriptions, options and messages write it: `500`, `2kb`, `26mb`, `1gb`
 * (protocol reference, section 8.3). Powers of 1024; the largest unit that leaves no fraction.
 *
 * @throws XftpError INVALID_SIZE when `bytes` is not a safe integer of at least 0.
 */
export function formatSizeText(bytes: number): string {
  if (!Number.isSafeInteger(bytes) || bytes < 0)
    throw new XftpError('INVALID_SIZE', `${String(bytes)} is not a size in bytes.`);
  if (bytes === 0 || bytes % KB !== 0) return String(bytes);
  if (bytes % MB !== 0) return `${String(bytes / KB)}kb`;
  if (bytes % GB !== 0) return `${String(bytes / MB)}mb`;
  return `${String(bytes / GB)}gb`;
}

/**
 * The bytes that a size text stands for: decimal digits, then `gb`, `mb`, `kb` or nothing.
 *
 * @throws XftpError INVALID_SIZE for any other text and for sizes above 2^53 - 1.
 */
export function parseSizeText(text: string): number {
  const match = PATTERN.exec(text);
  const unit = match?.[2];
  const bytes = Number(match?.[1]) * (unit === 'gb' || unit === 'mb' || unit === 'kb' ? UNITS[unit] : 1);
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new XftpError('INVALID_SIZE', 'A size is written in digits with kb, mb, gb or nothing after them.');
}
