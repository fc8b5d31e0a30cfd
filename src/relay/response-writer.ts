import type { ServerHttp2Stream } from 'node:http2';

import { MAX_CHUNK_SIZE } from '../protocol/index.js';
import type { Download } from './commands/reply.js';
import { DOWNLOAD_PIECE, type RelayLimits } from './limits.js';
import type { RequestBody } from './request-body.js';

/**
 * Most bytes that are read behind a refused request only to throw them away: a chunk, which clients send without
 * waiting for the answer, and some more.
 */
const MAX_DRAINED = MAX_CHUNK_SIZE + 64 * 1024;

/** How sending went: `broken` means that the connection is of no more use and has to be closed. */
export type SendResult = 'sent' | 'broken';

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
  if (stream.destroyed) return 'sent';
  stream.respond({ ':status': 200 });
  const sent = block === undefined || body.ended ? undefined : write(stream, block, limits);
  if ((await body.drain(MAX_DRAINED, limits.uploadMs)) === 'lost') {
    await sent;
    return 'broken';
  }
  if (stream.destroyed) return 'sent';
  if (sent === undefined && block !== undefined) return await end(stream, block, limits);
  if ((await (sent ?? 'sent')) === 'broken') return 'broken';
  return await end(stream, undefined, limits);
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
    if (stream.destroyed) return 'sent';
    stream.respond({ ':status': 200 });
    const drained = body.drain(MAX_DRAINED, limits.uploadMs);
    if ((await write(stream, block, limits)) === 'broken') return 'broken';
    const tag = await sendBody(stream, download, limits);
    if (tag === 'broken' || (await drained) === 'lost') return 'broken';
    return await end(stream, tag === 'short' ? undefined : tag, limits);
  } finally {
    await download.file.close();
  }
}

/** Sends the chunk: while one piece is on its way the next is read and encrypted. Gives the tag. */
async function sendBody(
  stream: ServerHttp2Stream,
  { file, size, box }: Download,
  limits: RelayLimits,
): Promise<Uint8Array | 'short' | 'broken'> {
  const tag = box.tag();
  let spare = Buffer.allocUnsafeSlow(Math.min(DOWNLOAD_PIECE, size));
  let inFlight: Buffer | undefined;
  let sending: Promise<SendResult> = Promise.resolve('sent');
  for (let offset = 0; offset < size; ) {
    const piece = spare.subarray(0, Math.min(spare.length, size - offset));
    if (!(await readFully(file, piece, offset))) {
      await sending;
      return 'short';
    }
    box.xor(piece, offset);
    tag.update(piece);
    if ((await sending) === 'broken') return 'broken';
    sending = write(stream, piece, limits);
    offset += piece.length;
    const free: Buffer | undefined = inFlight;
    inFlight = spare;
    spare = free ?? (offset < size ? Buffer.allocUnsafeSlow(inFlight.length) : inFlight);
  }
  return (await sending) === 'broken' ? 'broken' : tag.finish();
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
  return settled(stream, limits, (done) => stream.write(bytes, done));
}

function end(stream: ServerHttp2Stream, bytes: Uint8Array | undefined, limits: RelayLimits): Promise<SendResult> {
  return settled(stream, limits, (done) => (bytes === undefined ? stream.end(done) : stream.end(bytes, done)));
}

/** A client that takes nothing for long, or is gone, breaks the connection. */
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
      settle('broken');
    };
    const timer = setTimeout(() => {
      settle('broken');
    }, limits.downloadStallMs);
    stream.once('close', onClose);
    if (stream.destroyed) settle('broken');
    else
      act((error) => {
        settle(error === undefined || error === null ? 'sent' : 'broken');
      });
  });
}
