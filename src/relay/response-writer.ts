import type { ServerHttp2Stream } from 'node:http2';

import { BLOCK_SIZE, MAX_CHUNK_SIZE } from '../protocol/index.js';
import { BufferPool } from './buffer-pool.js';
import type { Download } from './commands/reply.js';
import { DOWNLOAD_PIECE, type RelayLimits } from './limits.js';
import { type DrainEnd, type RequestBody, uploadPace } from './request-body.js';
import type { ResponseHead } from './web/response-heads.js';

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

/** The turn of a download: who has it sends a chunk. */
export interface DownloadTurn {
  /** Gives it to the next one. */
  readonly free: () => void;
  /** Whether others wait for it, so that who takes nothing must go sooner. */
  readonly isWanted: () => boolean;
}

/** Whether nothing can be sent any more, though the stream may not have ended yet for who reads it. */
export function isOver(stream: ServerHttp2Stream): boolean {
  return stream.destroyed || stream.closed;
}

/** Throws away what a client sends behind the last part of its request that matters. */
export function drainRequest(body: RequestBody, limits: RelayLimits): Promise<DrainEnd> {
  return body.drain(MAX_DRAINED, uploadPace(limits));
}

/**
 * Answers a request with a block (or nothing), after the rest of its body is out of the way: a response that ends
 * before the request makes Node reset the stream, and official clients then drop the connection (section 15.4).
 * The block itself does not wait.
 *
 * @param pieceSize bytes that are sent at once; the whole block unless given
 */
export async function sendBlock(
  stream: ServerHttp2Stream,
  body: RequestBody,
  block: Uint8Array | undefined,
  limits: RelayLimits,
  head: ResponseHead,
  pieceSize: number = BLOCK_SIZE,
): Promise<SendResult> {
  if (isOver(stream)) return 'gone';
  head(stream);
  if (block === undefined) return await drainAndEnd(stream, body, undefined, limits);
  // A body that is out of the way already lets the last piece end the stream.
  const written = body.ended ? block.length - pieceSize : block.length;
  const before = writePieces(stream, block.subarray(0, written), pieceSize, limits);
  return await drainAndEnd(stream, body, block.subarray(written), limits, before);
}

/**
 * Answers with a block, the encrypted chunk and its tag. When the body cannot be read to its end the response ends
 * short: the client sees a wrong length, and its other requests go on (section 15.4). The turn ends with the chunk.
 */
export async function sendDownload(
  stream: ServerHttp2Stream,
  body: RequestBody,
  block: Uint8Array,
  download: Download,
  limits: RelayLimits,
  head: ResponseHead,
  turn: DownloadTurn,
): Promise<SendResult> {
  const drained = drainRequest(body, limits);
  const { result, tag } = await sendChunk(stream, block, download, limits, head, turn);
  if (result !== 'sent') return result;
  const rest = await drained;
  if (rest === 'complete') return await end(stream, tag, limits);
  return rest === 'lost' ? 'gone' : 'stuck';
}

/** Answers with a page, in pieces, so that a slow browser is told from one that takes nothing. */
export async function sendPage(
  stream: ServerHttp2Stream,
  body: RequestBody,
  content: Uint8Array,
  limits: RelayLimits,
  head: ResponseHead,
): Promise<SendResult> {
  if (isOver(stream)) return 'gone';
  const drained = drainRequest(body, limits);
  head(stream);
  const sent = await writePieces(stream, content, DOWNLOAD_PIECE, limits);
  if (sent !== 'sent') return sent;
  const rest = await drained;
  if (rest === 'complete') return await end(stream, undefined, limits);
  return rest === 'lost' ? 'gone' : 'stuck';
}

async function drainAndEnd(
  stream: ServerHttp2Stream,
  body: RequestBody,
  block: Uint8Array | undefined,
  limits: RelayLimits,
  before: Promise<SendResult> = Promise.resolve('sent'),
): Promise<SendResult> {
  const drained = await drainRequest(body, limits);
  const sent = await before;
  if (drained === 'stuck') return 'stuck';
  if (sent !== 'sent') return sent;
  return drained === 'lost' ? 'gone' : await end(stream, block, limits);
}

/** Pieces of downloads under way are taken from here; 8 MiB are kept when there are none. */
const pieces = new BufferPool(DOWNLOAD_PIECE, 32);

/** How sending a chunk went. No tag: its body ended early. */
interface ChunkResult {
  readonly result: SendResult;
  readonly tag?: Uint8Array;
}

async function sendChunk(
  stream: ServerHttp2Stream,
  block: Uint8Array,
  download: Download,
  limits: RelayLimits,
  head: ResponseHead,
  turn: DownloadTurn,
): Promise<ChunkResult> {
  try {
    if (isOver(stream)) return { result: 'gone' };
    head(stream);
    const begun = await write(stream, block, limits, turn);
    return begun === 'sent' ? await sendBody(stream, download, limits, turn) : { result: begun };
  } finally {
    await download.reader.close();
    turn.free();
  }
}

/** While one piece is on its way the next is read and encrypted. */
async function sendBody(
  stream: ServerHttp2Stream,
  { reader, size, box }: Download,
  limits: RelayLimits,
  turn: DownloadTurn,
): Promise<ChunkResult> {
  const tag = box.tag();
  let sending: Promise<SendResult> = Promise.resolve('sent');
  for (let offset = 0; offset < size;) {
    const buffer = pieces.take();
    const piece = buffer.subarray(0, Math.min(buffer.length, size - offset));
    if (!(await reader.read(piece, offset))) return { result: await sending };
    box.xor(piece, offset);
    tag.update(piece);
    const result = await sending;
    if (result !== 'sent') return { result };
    sending = write(stream, piece, limits, turn).then((sent) => {
      // A piece that was not sent may still be in use by the connection.
      if (sent === 'sent') pieces.give(buffer);
      return sent;
    });
    offset += piece.length;
  }
  return { result: await sending, tag: tag.finish() };
}

/** Sends bytes a piece after the other. */
async function writePieces(
  stream: ServerHttp2Stream,
  bytes: Uint8Array,
  pieceSize: number,
  limits: RelayLimits,
): Promise<SendResult> {
  for (let start = 0; start < bytes.length; start += pieceSize) {
    const sent = await write(stream, bytes.subarray(start, start + pieceSize), limits);
    if (sent !== 'sent') return sent;
  }
  return 'sent';
}

/** Resolves when HTTP/2 has taken the bytes, which must not change until then. */
function write(
  stream: ServerHttp2Stream,
  bytes: Uint8Array,
  limits: RelayLimits,
  turn?: DownloadTurn,
): Promise<SendResult> {
  const act = (done: (error?: Error | null) => void): void => {
    stream.write(bytes, done);
  };
  return settled(stream, limits, act, turn);
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
  turn?: DownloadTurn,
): Promise<SendResult> {
  const { crowdedStallMs, downloadStallMs } = limits;
  const step = Math.min(crowdedStallMs, downloadStallMs);
  return new Promise((resolve) => {
    const settle = (result: SendResult): void => {
      clearInterval(timer);
      stream.removeListener('close', onClose);
      resolve(result);
    };
    const onClose = (): void => {
      settle('gone');
    };
    let waited = 0;
    const timer = setInterval(() => {
      waited += step;
      if (waited >= downloadStallMs || turn?.isWanted() === true) settle('stuck');
    }, step);
    stream.once('close', onClose);
    if (isOver(stream)) settle('gone');
    else
      act((error) => {
        settle(error === undefined || error === null ? 'sent' : 'gone');
      });
  });
}
