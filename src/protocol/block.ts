import { ByteReader } from './encoding.js';
import { XftpError } from './failure.js';

/** Size of every XFTP block, in bytes. */
export const BLOCK_SIZE = 16384;

const PAD_BYTE = 0x23; // '#'
/** The length prefix is a u16, and the reference keeps two values of it free. */
const MAX_PADDED_LENGTH = 65533;

/**
 * Pads a message to `size` bytes: u16 length, message, `#` fill (protocol reference, section 0.3).
 *
 * @throws XftpError INVALID_BLOCK when the message does not fit.
 */
export function pad(message: Uint8Array, size: number = BLOCK_SIZE): Uint8Array {
  if (message.length > Math.min(size - 2, MAX_PADDED_LENGTH))
    throw new XftpError(
      'INVALID_BLOCK',
      `A message of ${String(message.length)} bytes does not fit a block of ${String(size)}.`,
    );
  const block = new Uint8Array(size).fill(PAD_BYTE);
  new DataView(block.buffer).setUint16(0, message.length);
  block.set(message, 2);
  return block;
}

/**
 * The message inside a padded block, as a view of it. What follows the message is ignored.
 *
 * @throws XftpError INVALID_BLOCK when the length prefix is missing or larger than the block.
 */
export function unpad(block: Uint8Array): Uint8Array {
  try {
    return new ByteReader(block).large();
  } catch (cause) {
    throw new XftpError('INVALID_BLOCK', 'A block is shorter than its length field says.', { cause });
  }
}
