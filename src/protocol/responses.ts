import { decodeUtf8 } from './bytes.js';
import { ByteReader, ByteWriter } from './encoding.js';
import { XftpError } from './failure.js';
import { decodePublicKey } from './key-encoding.js';
import { formatWireError, parseWireError, type WireError } from './wire-error.js';

/** Length of the nonce in FILE, in bytes. */
export const DOWNLOAD_NONCE_LENGTH = 24;

/** A relay's answer (protocol reference, section 5). */
export type Response =
  | {
      readonly type: 'SIDS';
      readonly senderId: Uint8Array;
      /** In the order of the keys in FNEW. */
      readonly recipientIds: readonly Uint8Array[];
    }
  | { readonly type: 'RIDS'; readonly recipientIds: readonly Uint8Array[] }
  /** `key`: the relay's X25519 key (SPKI) for this download; `nonce`: 24 bytes. */
  | { readonly type: 'FILE'; readonly key: Uint8Array; readonly nonce: Uint8Array }
  | { readonly type: 'OK' }
  | { readonly type: 'PONG' }
  | { readonly type: 'ERR'; readonly error: WireError };

/** The response's bytes inside a transmission. */
export function encodeResponse(response: Response): Uint8Array {
  const writer = new ByteWriter().ascii(response.type);
  switch (response.type) {
    case 'SIDS':
      writer.ascii(' ').short(response.senderId);
      writer.list(response.recipientIds, (id) => writer.short(id));
      break;
    case 'RIDS':
      writer.ascii(' ').list(response.recipientIds, (id) => writer.short(id));
      break;
    case 'FILE':
      writer.ascii(' ').short(response.key).raw(response.nonce);
      break;
    case 'ERR':
      writer.ascii(` ${formatWireError(response.error)}`);
      break;
    case 'OK':
    case 'PONG':
      break;
  }
  return writer.finish();
}

/**
 * Reads a response.
 *
 * @throws XftpError INVALID_ENCODING for an unknown or malformed one, INVALID_KEY for a bad download key.
 */
export function decodeResponse(bytes: Uint8Array): Response {
  const space = bytes.indexOf(0x20);
  const tag = decodeUtf8(space < 0 ? bytes : bytes.subarray(0, space));
  const reader = new ByteReader(space < 0 ? new Uint8Array() : bytes.subarray(space + 1));
  const response = readResponse(tag, reader);
  if ((response.type === 'OK' || response.type === 'PONG') && space >= 0) throw unreadable(tag);
  reader.end();
  return response;
}

function readResponse(tag: string, reader: ByteReader): Response {
  const readId = (): Uint8Array => {
    const id = reader.short();
    if (id.length === 0) throw new XftpError('INVALID_ENCODING', 'The relay sent an empty ID.');
    return id;
  };
  switch (tag) {
    case 'SIDS':
      return { type: tag, senderId: readId(), recipientIds: reader.nonEmptyList(readId) };
    case 'RIDS':
      return { type: tag, recipientIds: reader.nonEmptyList(readId) };
    case 'FILE':
      return { type: tag, key: readDownloadKey(reader), nonce: reader.raw(DOWNLOAD_NONCE_LENGTH) };
    case 'OK':
    case 'PONG':
      return { type: tag };
    case 'ERR':
      return { type: tag, error: parseWireError(decodeUtf8(reader.tail())) };
    default:
      throw unreadable(tag);
  }
}

function readDownloadKey(reader: ByteReader): Uint8Array {
  const key = reader.short();
  if (decodePublicKey(key).algorithm !== 'x25519')
    throw new XftpError('INVALID_KEY', 'The relay sent a download key that is not X25519.');
  return key;
}

function unreadable(tag: string): XftpError {
  const shown = JSON.stringify(tag.slice(0, 20));
  return new XftpError('INVALID_ENCODING', `The relay sent a response that cannot be read: ${shown}.`);
}
