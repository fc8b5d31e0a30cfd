import { DOWNLOAD_TAG_LENGTH } from '../client/index.js';
import {
  checkRedirect,
  decodeUtf8Strict,
  type FileDescription,
  parseDescription,
  type ServerAddress,
  XftpError,
} from '../protocol/index.js';
import { downloadChunk } from './chunk-download.js';
import { OpenStream } from './open-stream.js';
import { checkReceivable } from './receive-file.js';
import { ProgressMeter, type TransferContext } from './transfer-context.js';

/** Largest encrypted description that a redirect may lead to, in bytes: room for files of over 100 GB. */
const MAX_REDIRECT_SIZE = 16 * 1024 * 1024;

/**
 * Follows a redirect: downloads the description that it stores, into memory, and checks that it is the one promised
 * (protocol reference, section 9.4).
 *
 * @throws XftpError of the relays, FILE_CORRUPT, INVALID_DESCRIPTION or REDIRECT_MISMATCH
 */
export async function followRedirect(
  outer: FileDescription,
  context: TransferContext,
): Promise<FileDescription> {
  checkReceivable(outer);
  if (outer.size > MAX_REDIRECT_SIZE)
    throw new XftpError(
      'REDIRECT_MISMATCH',
      'The link leads to a file description that is too large to be one.',
    );
  const content = await receiveBytes(outer, context);
  const text = decodeUtf8Strict(content);
  if (text === undefined)
    throw new XftpError('REDIRECT_MISMATCH', 'The link leads to a file that is not a file description.');
  const inner = parseDescription(text);
  checkRedirect(outer, inner);
  checkReceivable(inner);
  return inner;
}

/** Downloads, verifies and decrypts a small file into memory. */
async function receiveBytes(description: FileDescription, context: TransferContext): Promise<Uint8Array> {
  const { key, nonce, digest, chunks } = description;
  const opener = new OpenStream({ key, nonce, digest, chunkSizes: chunks.map(({ size }) => size) });
  const progress = new ProgressMeter(description.size, undefined);
  const failed: ServerAddress[] = [];
  let content = new Uint8Array();
  let filled = 0;
  for (const chunk of chunks) {
    const box = new Uint8Array(chunk.size + DOWNLOAD_TAG_LENGTH);
    const verify = (downloaded: Parameters<OpenStream['accept']>[0]): Promise<void> => {
      opener.accept(downloaded);
      return Promise.resolve();
    };
    await downloadChunk(chunk, box, verify, { ...context, progress, failed });
    if (chunk.number === 1) {
      content = new Uint8Array(opener.readPrefix().contentLength);
      opener.writeTo((length, decrypt) => {
        decrypt(content.subarray(filled, filled + length), 0);
        filled += length;
      });
    }
    opener.flush();
  }
  opener.finish();
  return content;
}
