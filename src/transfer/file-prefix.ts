import { SecretBoxStream } from '../crypto/index.js';
import {
  decodePlaintextPrefix,
  type FileHeader,
  LENGTH_PREFIX_SIZE,
  MAX_HEADER_LENGTH,
  XftpError,
} from '../protocol/index.js';
import { cipherLengthOf, type EncryptedFile } from './encrypted-file.js';

/** What precedes the content of a file. */
export interface FilePrefix {
  /** Its decrypted bytes; the content starts behind them. */
  readonly prefix: Uint8Array;
  readonly header: FileHeader;
  /** Bytes. */
  readonly contentLength: number;
}

/**
 * Reads what precedes the content of a file from its first chunk, which stays encrypted.
 *
 * @throws XftpError FILE_CORRUPT when it is nonsense, or promises more than there is
 */
export function readFilePrefix({ key, nonce, chunkSizes }: EncryptedFile, chunk: Uint8Array): FilePrefix {
  const cipherLength = cipherLengthOf(chunkSizes);
  const head = chunk.slice(0, Math.min(LENGTH_PREFIX_SIZE + MAX_HEADER_LENGTH, cipherLength));
  new SecretBoxStream(key, nonce).xor(head, 0);
  const { header, contentOffset, contentLength } = decodePlaintextPrefix(head);
  if (contentOffset + contentLength > cipherLength)
    throw new XftpError('FILE_CORRUPT', 'The file is corrupted: its header promises more than there is.');
  return { prefix: head.slice(0, contentOffset), header, contentLength };
}
