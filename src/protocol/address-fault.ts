import { XftpError } from './failure.js';

/** Why an address or a host cannot be read, as a clause: `it is empty`. Which one it is, is for the caller to say. */
export class AddressFault extends Error {
  override readonly name = 'AddressFault';
}

/**
 * What `read` gives.
 *
 * @param what what it reads and that this is wrong: the beginning of the message about a fault
 * @throws XftpError INVALID_ADDRESS for a fault
 */
export function readAddressPart<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof AddressFault)) throw error;
    throw new XftpError('INVALID_ADDRESS', `${what}: ${error.message}.`, { cause: error.cause });
  }
}
