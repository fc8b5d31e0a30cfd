import { XftpError } from '../protocol/index.js';

const UNITS = { k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 } as const;
const PATTERN = /^(\d{1,16}(?:\.\d{1,6})?) ?(?:([kmgt])(?:i?b)?|b|bytes)?$/;

/**
 * The bytes of a size as operators write it: a number with kb, mb, gb, tb or nothing behind it, in any case, with or
 * without a blank, perhaps with a fraction (`10gb`, `1.5 TB`, `500 MiB`). Powers of 1024, as in the reference.
 *
 * @throws XftpError INVALID_SIZE
 */
export function parseSizeOption(text: string): number {
  const [matched, digits, letter] = PATTERN.exec(text.trim().toLowerCase()) ?? [];
  const unit = letter === 'k' || letter === 'm' || letter === 'g' || letter === 't' ? UNITS[letter] : 1;
  const bytes = matched === undefined ? NaN : Math.floor(Number(digits) * unit);
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new XftpError('INVALID_SIZE', 'A size is a number with kb, mb, gb, tb or nothing behind it.');
}
