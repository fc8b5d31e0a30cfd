import type { ServerHttp2Stream } from 'node:http2';

import { MAX_CHUNK_SIZE } from '../protocol/index.js';
import { BufferPool } from './buffer-pool.js';
import type { Download } from './commands/reply.js';
import { DOWNLOAD_PIECE, type RelayLimits } from './limits.js';
import type { RequestBody } from './request-body.js';

/**
 * Most bytes that are read behind a refused request only to throw them away: a chunk, which clients send without
 * waiting for the answer, and some more.
 */
const MAX_DRAINED = MAX_CHUNK_SIZE + 64 * 1024;

/**
 * How sending went. `gone`: the client ended this stream, or everything, before it had the whole. `stuck`: it takes
 * or sends too slowly, or sends too much; the connection has to be closed.
 */
export type SendResult = 'sent' | 'gone' | 'stuck';

/**
 * Answers a request with a block (or nothing), after the rest of its body is out of the way: a response that ends
 * before the request makes Node reset the stream, and official clients then drop the connection (section 15.4).
 * The block itself does not wait.
 */
export async function sendBlock(
  stream: ServerHttp2Stream,
  body: RequestBody,
  block: Uint8Array | undefined,
  limits: RelayLimits,
): Promise<SendResult> {
  if (stream.destroyed) return 'gone';
  stream.respond({ ':status': 200 });
  if (block === undefined || body.ended) return await drainAndEnd(stream, body, block, limits);
  return await drainAndEnd(stream, body, undefined, limits, write(stream, block, limits));
}

/**
 * Answers with a block, the encrypted chunk and its tag. When the file cannot be read to its end the response ends
 * short: the client sees a wrong length, and its other requests go on (section 15.4).
 */
export async function sendDownload(
  stream: ServerHttp2Stream,
  body: RequestBody,
  block: Uint8Array,
  download: Download,
  limits: RelayLimits,
): Promise<SendResult> {
  try {
    if (stream.destroyed) return 'gone';
    stream.respond({ ':status': 200 });
    const drained = body.drain(MAX_DRAINED, limits.uploadMs);
    const begun = await write(stream, block, limits);
    if (begun !== 'sent') return begun;
    const { result, tag } = await sendBody(stream, download, limits);
    if (result !== 'sent') return result;
    const rest = await drained;
    if (rest === 'complete') return await end(stream, tag, limits);
    return rest === 'lost' ? 'gone' : 'stuck';
  } finally {
    await download.file.close();
  }
}

async function drainAndEnd(
  stream: ServerHttp2Stream,
  body: RequestBody,
  block: Uint8Array | undefined,
  limits: RelayLimits,
  before: Promise<SendResult> = Promise.resolve('sent'),
): Promise<SendResult> {
  const drained = await body.drain(MAX_DRAINED, limits.uploadMs);
  const sent = await before;
  if (drained === 'stuck') return 'stuck';
  if (sent !== 'sent') return sent;
  return drained === 'lost' ? 'gone' : await end(stream, block, limits);
}

/** Pieces of downloads under way are taken from here; 8 MiB are kept when there are none. */
const pieces = new BufferPool(DOWNLOAD_PIECE, 64);

/** Sends the chunk: while one piece is on its way the next is read and encrypted. No tag: the file ended early. */
async function sendBody(
  stream: ServerHttp2Stream,
  { file, size, box }: Download,
  limits: RelayLimits,
): Promise<{ readonly result: SendResult; readonly tag?: Uint8Array }> {
  const tag = box.tag();
  let sending: Promise<SendResult> = Promise.resolve('sent');
  for (let offset = 0; offset < size;) {
    const buffer = pieces.take();
    const piece = buffer.subarray(0, Math.min(buffer.length, size - offset));
    if (!(await readFully(file, piece, offset))) return { result: await sending };
    box.xor(piece, offset);
    tag.update(piece);
    const result = await sending;
    if (result !== 'sent') return { result };
    sending = write(stream, piece, limits).then((sent) => {
      // A piece that was not sent may still be in use by the connection.
      if (sent === 'sent') pieces.give(buffer);
      return sent;
    });
    offset += piece.length;
  }
  return { result: await sending, tag: tag.finish() };
}

async function readFully(file: Download['file'], into: Buffer, position: number): Promise<boolean> {
  let filled = 0;
  while (filled < into.length) {
    const { bytesRead } = await file.read(into, filled, into.length - filled, position + filled);
    if (bytesRead === 0) return false;
    filled += bytesRead;
  }
  return true;
}

/** Resolves when HTTP/2 has taken the bytes, which must not change until then. */
function write(stream: ServerHttp2Stream, bytes: Uint8Array, limits: RelayLimits): Promise<SendResult> {
  return settled(stream, limits, (done) => {
    stream.write(bytes, done);
  });
}

function end(
  stream: ServerHttp2Stream,
  bytes: Uint8Array | undefined,
  limits: RelayLimits,
): Promise<SendResult> {
  return settled(stream, limits, (done) => {
    if (bytes === undefined) stream.end(done);
    else stream.end(bytes, done);
  });
}

function settled(
  stream: ServerHttp2Stream,
  limits: RelayLimits,
  act: (done: (error?: Error | null) => void) => void,
): Promise<SendResult> {
  return new Promise((resolve) => {
    const settle = (result: SendResult): void => {
      clearTimeout(timer);
      stream.removeListener('close', onClose);
      resolve(result);
    };
    const onClose = (): void => {
      settle('gone');
    };
    const timer = setTimeout(() => {
      settle('stuck');
    }, limits.downloadStallMs);
    stream.once('close', onClose);
    if (stream.destroyed) settle('gone');
    else
      act((error) => {
        settle(error === undefined || error === null ? 'sent' : 'gone');
      });
  });
}
