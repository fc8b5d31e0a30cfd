import { BLOCK_SIZE, pad, unpad } from './block.js';
import { decodeUtf8Strict, encodeUtf8 } from './bytes.js';
import { ByteReader, ByteWriter } from './encoding.js';
import { XftpError } from './failure.js';
import { formatWireError, parseWireError, type WireError } from './wire-error.js';

/** One command or response on its way (protocol reference, section 4.1). */
export interface Transmission {
  readonly sessionId: Uint8Array;
  /** Chosen by the client, echoed by the relay; may be empty. */
  readonly correlationId: Uint8Array;
  /** The sender or recipient ID that the command is about; may be empty. */
  readonly entityId: Uint8Array;
  /** An encoded command or response. */
  readonly command: Uint8Array;
}

/** A transmission as received, with what its authorization has to be checked against. */
export interface ReceivedTransmission extends Transmission {
  /** Empty, a signature or a deniable authenticator. */
  readonly authorization: Uint8Array;
  /** The exact bytes that the authorization covers. */
  readonly authorized: Uint8Array;
}

/** The bytes that an authorization covers: everything but the authorization itself. */
export function encodeAuthorized(transmission: Transmission): Uint8Array {
  return new ByteWriter()
    .short(transmission.sessionId)
    .short(transmission.correlationId)
    .short(transmission.entityId)
    .raw(transmission.command)
    .finish();
}

/** A block with one transmission. `authorize` makes the authorization of its bytes; without it there is none. */
export function encodeTransmission(
  transmission: Transmission,
  authorize?: (authorized: Uint8Array) => Uint8Array,
): Uint8Array {
  const authorized = encodeAuthorized(transmission);
  const authorization = authorize?.(authorized) ?? new Uint8Array();
  const framed = new ByteWriter().short(authorization).raw(authorized).finish();
  return pad(new ByteWriter().u8(1).large(framed).finish());
}

/**
 * Reads a block that must hold exactly one transmission.
 *
 * @throws XftpError INVALID_BLOCK
 */
export function decodeTransmission(block: Uint8Array): ReceivedTransmission {
  try {
    if (block.length !== BLOCK_SIZE) throw new XftpError('INVALID_BLOCK', 'The block has a wrong size.');
    const batch = new ByteReader(unpad(block));
    if (batch.u8() !== 1) throw new XftpError('INVALID_BLOCK', 'The batch does not hold one transmission.');
    const framed = new ByteReader(batch.large());
    batch.end();
    const authorization = framed.short();
    const authorized = framed.tail();
    const reader = new ByteReader(authorized);
    return {
      authorization,
      authorized,
      sessionId: reader.short(),
      correlationId: reader.short(),
      entityId: reader.short(),
      command: reader.tail(),
    };
  } catch (cause) {
    throw new XftpError('INVALID_BLOCK', 'A block holds no readable transmission.', { cause });
  }
}

/** A capital letter, and no control character anywhere. */
const BARE_ERROR = /^[A-Z]\P{Cc}*$/u;

/** A block with a bare error, as sent during the handshake (protocol reference, section 2.3). */
export function encodeBareError(error: WireError): Uint8Array {
  return pad(encodeUtf8(formatWireError(error)));
}

/** The bare error in a block, or undefined if it holds something else: bare errors are text with a capital first. */
export function decodeBareError(block: Uint8Array): WireError | undefined {
  const content = unpad(block);
  // Nearly every block holds a transmission. Finding out by decoding it as text would cost more than its signature.
  if (!isCapital(content[0])) return undefined;
  const text = decodeUtf8Strict(content);
  return text !== undefined && BARE_ERROR.test(text) ? parseWireError(text) : undefined;
}

/** Whether it is one of the letters A to Z in ASCII. */
function isCapital(byte = 0): boolean {
  return byte >= 0x41 && byte <= 0x5a;
}
