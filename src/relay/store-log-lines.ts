import {
  decodeBase64Url,
  decodePublicKey,
  decodeUtf8Strict,
  encodeBase64Url,
  encodeUtf8,
  formatBlockingInfo,
  parseBlockingInfo,
  XftpError,
} from '../protocol/index.js';
import type { ChunkStatus, Recipient, RecordChange } from './record.js';

/** The line of the store log for a change, without its LF (protocol reference, section 11.4). */
export function formatLogLine(change: RecordChange): string {
  switch (change.type) {
    case 'FNEW':
      return [
        'FNEW',
        encodeBase64Url(change.senderId),
        encodeBase64Url(change.senderKey),
        String(change.size),
        encodeBase64Url(change.digest),
        String(change.createdAt),
        formatStatus(change.status),
      ].join(' ');
    case 'FADD':
      return `FADD ${encodeBase64Url(change.senderId)} ${change.recipients.map(formatRecipient).join(',')}`;
    case 'FPUT':
      return `FPUT ${encodeBase64Url(change.senderId)} ${encodeBase64Url(encodeUtf8(change.place))}`;
    case 'FDEL':
      return `FDEL ${encodeBase64Url(change.senderId)}`;
    case 'FBLK':
      return `FBLK ${encodeBase64Url(change.senderId)} ${formatBlockingInfo(change.info)}`;
    case 'FACK':
      return `FACK ${encodeBase64Url(change.recipientId)}`;
  }
}

/**
 * Reads a line of the store log, without its LF.
 *
 * @throws XftpError INVALID_ENCODING or INVALID_KEY when it is not one
 */
export function parseLogLine(line: string): RecordChange {
  const [tag, id, ...fields] = line.split(' ');
  if (id === undefined || id === '') throw unreadable('it has no ID');
  switch (tag) {
    case 'FNEW':
      return parseNew(decodeBase64Url(id), fields);
    case 'FADD':
      return {
        type: tag,
        senderId: decodeBase64Url(id),
        recipients: only(fields).split(',').map(parseRecipient),
      };
    case 'FPUT':
      return { type: tag, senderId: decodeBase64Url(id), place: parsePlace(only(fields)) };
    case 'FDEL':
      none(fields);
      return { type: tag, senderId: decodeBase64Url(id) };
    case 'FBLK':
      // The notice is JSON and may hold spaces.
      return { type: tag, senderId: decodeBase64Url(id), info: parseBlockingInfo(fields.join(' ')) };
    case 'FACK':
      none(fields);
      return { type: tag, recipientId: decodeBase64Url(id) };
    default:
      throw unreadable('its first word is unknown');
  }
}

function parseNew(senderId: Uint8Array, fields: readonly string[]): RecordChange {
  const [key, size, digest, createdAt, ...status] = fields;
  if (key === undefined || size === undefined || digest === undefined || createdAt === undefined)
    throw unreadable('it has too few fields');
  return {
    type: 'FNEW',
    senderId,
    senderKey: parseKey(key),
    size: parseNumber(size),
    digest: decodeBase64Url(digest),
    createdAt: parseNumber(createdAt),
    // Logs from before the status existed have none.
    status: status.length === 0 ? { type: 'active' } : parseStatus(status.join(' ')),
  };
}

function formatStatus(status: ChunkStatus): string {
  return status.type === 'blocked' ? `blocked,${formatBlockingInfo(status.info)}` : status.type;
}

function parseStatus(text: string): ChunkStatus {
  if (text === 'active' || text === 'off') return { type: text };
  if (text.startsWith('blocked,'))
    return { type: 'blocked', info: parseBlockingInfo(text.slice('blocked,'.length)) };
  throw unreadable('its status is unknown');
}

function formatRecipient(recipient: Recipient): string {
  return `${encodeBase64Url(recipient.id)}:${encodeBase64Url(recipient.key)}`;
}

function parseRecipient(text: string): Recipient {
  const [id, key, ...rest] = text.split(':');
  if (id === undefined || id === '' || key === undefined || rest.length > 0)
    throw unreadable('a recipient is not ID:KEY');
  return { id: decodeBase64Url(id), key: parseKey(key) };
}

function parseKey(text: string): Uint8Array {
  const key = decodeBase64Url(text);
  decodePublicKey(key);
  return key;
}

function parsePlace(text: string): string {
  const place = decodeUtf8Strict(decodeBase64Url(text));
  if (place === undefined || place === '' || place.includes('\0')) throw unreadable('its path is not text');
  return place;
}

function parseNumber(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(number)) throw unreadable('a number is malformed');
  return number;
}

function only(fields: readonly string[]): string {
  const [field, ...rest] = fields;
  if (field === undefined || rest.length > 0) throw unreadable('it has a wrong number of fields');
  return field;
}

function none(fields: readonly string[]): void {
  if (fields.length > 0) throw unreadable('it has too many fields');
}

function unreadable(reason: string): XftpError {
  return new XftpError('INVALID_ENCODING', `This is not a line of the store log: ${reason}.`);
}
