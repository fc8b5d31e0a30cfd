import { XftpError } from '../protocol/index.js';

/** What a PEM block holds: an X.509 certificate or a PKCS8 private key. */
export type PemLabel = 'CERTIFICATE' | 'PRIVATE KEY';

/** OpenSSL's and RFC 7468's line length, in characters. */
const LINE = /.{1,64}/g;

/** DER as PEM text (RFC 7468), with a line end at its end. */
export function pemEncode(label: PemLabel, der: Uint8Array): string {
  const lines = Buffer.from(der).toString('base64').match(LINE) ?? [];
  return `-----BEGIN ${label}-----\n${lines.map((line) => `${line}\n`).join('')}-----END ${label}-----\n`;
}

/**
 * The DER in the first block with this label. Text around the blocks is ignored, as RFC 7468 allows.
 *
 * @throws XftpError INVALID_ENCODING when there is no such block or its base64 cannot be read.
 */
export function pemDecode(text: string, label: PemLabel): Uint8Array {
  const begin = `-----BEGIN ${label}-----`;
  const start = text.indexOf(begin);
  const end = text.indexOf(`-----END ${label}-----`, start);
  if (start < 0 || end < 0) throw unreadable(label, 'it is missing or cut off');
  const base64 = text.slice(start + begin.length, end).replace(/[\r\n\t ]+/g, '');
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length === 0 || bytes.toString('base64') !== base64)
    throw unreadable(label, 'its base64 is damaged');
  return new Uint8Array(bytes);
}

function unreadable(label: PemLabel, reason: string): XftpError {
  const what = label === 'CERTIFICATE' ? 'certificate' : 'private key';
  return new XftpError('INVALID_ENCODING', `There is no ${what} to read in this PEM text: ${reason}.`);
}
