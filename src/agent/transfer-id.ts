import { randomBytes } from '../crypto/index.js';
import { encodeBase64Url } from '../protocol/index.js';

/** Random bytes in an ID: it is also part of file names, so nobody must be able to guess another's. */
const ID_LENGTH = 12;

/** A new ID for a transfer: 16 characters that are safe in file names. */
export function newTransferId(): string {
  const id = encodeBase64Url(randomBytes(ID_LENGTH));
  // A dash in front would look like an option on a command line.
  return id.startsWith('-') ? newTransferId() : id;
}
