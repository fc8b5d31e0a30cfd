import { XftpError } from './failure.js';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Six-bit value of each ASCII code, or 255. */
const VALUE_OF = new Uint8Array(128).fill(255);
for (let value = 0; value < ALPHABET.length; value++) VALUE_OF[ALPHABET.charCodeAt(value)] = value;

/** Base64url with `=` padding, as every official program emits it (RFC 4648 section 5). */
export function encodeBase64Url(bytes: Uint8Array): string {
  let text = '';
  for (let index = 0; index < bytes.length; index += 3) {
    const left = bytes.length - index;
    const group = ((bytes[index] ?? 0) << 16) | ((bytes[index + 1] ?? 0) << 8) | (bytes[index + 2] ?? 0);
    text += ALPHABET.charAt(group >> 18) + ALPHABET.charAt((group >> 12) & 63);
    text += left > 1 ? ALPHABET.charAt((group >> 6) & 63) : '=';
    text += left > 2 ? ALPHABET.charAt(group & 63) : '=';
  }
  return text;
}

/**
 * Decodes base64url with or without padding.
 *
 * @throws XftpError INVALID_ENCODING for other characters, impossible lengths and stray bits.
 */
export function decodeBase64Url(text: string): Uint8Array {
  const unpadded = text.length % 4 === 0 ? text.replace(/={1,2}$/, '') : text;
  const rest = unpadded.length % 4;
  if (rest === 1) throw invalid('its length is impossible');
  const bytes = new Uint8Array(Math.floor((unpadded.length * 3) / 4));
  let buffered = 0;
  let bits = 0;
  let offset = 0;
  for (let index = 0; index < unpadded.length; index++) {
    const value = VALUE_OF[unpadded.charCodeAt(index)] ?? 255;
    if (value === 255) throw invalid(`character ${String(index + 1)} is not allowed`);
    buffered = ((buffered << 6) | value) & 0xfff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[offset++] = (buffered >> bits) & 255;
    }
  }
  if ((buffered & ((1 << bits) - 1)) !== 0) throw invalid('it has stray bits at its end');
  return bytes;
}

function invalid(reason: string): XftpError {
  return new XftpError('INVALID_ENCODING', `This is not base64url text: ${reason}.`);
}
