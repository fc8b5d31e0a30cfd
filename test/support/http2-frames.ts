import type { TLSSocket } from 'node:tls';

import { onTestFinished } from 'vitest';

import { hasPeer } from '#src/system/index.js';

import { openTls, type RawOptions } from './raw-client.js';

/** Frames of HTTP/2 by their number (RFC 9113, section 6). */
export const FRAME = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const END_STREAM = 1;
export const END_HEADERS = 4;

/** The block of headers of `POST /`, from HPACK's static table. */
export const POST_HEADERS = Buffer.from([0x83, 0x87, 0x84, 0x41, 0x01, 0x78]);

/** Any frame, right or wrong. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** What a client says first. */
export const PREFACE = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  frame(FRAME.settings, 0, 0),
  frame(FRAME.windowUpdate, 0, 0, Buffer.from([0x00, 0x7f, 0x00, 0x00])),
]);

/** A TLS connection that has said the preface, and nothing that HTTP/2 would say by itself. */
export async function openHttp2(port: number, options: Partial<RawOptions> = {}): Promise<TLSSocket> {
  const socket = await openTls({ ...options, port });
  onTestFinished(() => {
    socket.destroy();
  });
  socket.on('error', () => undefined);
  socket.resume();
  socket.write(PREFACE);
  return socket;
}

/**
 * Sends frames until the relay ends the connection, and gives the number of bytes that went out before.
 *
 * @param most an error when it takes more bytes than this
 */
export async function flood(
  socket: TLSSocket,
  next: (round: number) => Uint8Array,
  most = 64 * 1024 ** 2,
): Promise<number> {
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      resolve();
    });
  });
  // Node does not always tell that a connection was reset while it was written to.
  const check = setInterval(() => {
    if (!hasPeer(socket)) socket.destroy();
  }, 20);
  void closed.then(() => {
    clearInterval(check);
  });
  let sent = 0;
  for (let round = 0; !socket.destroyed; round++) {
    const bytes = next(round);
    sent += bytes.length;
    if (sent > most) throw new Error('The relay takes everything.');
    const written = new Promise<void>((resolve) => {
      socket.write(bytes, () => {
        resolve();
      });
    });
    await Promise.race([written, closed]);
    // A turn of the event loop in between, so that the end of the connection is seen.
    await new Promise(setImmediate);
  }
  return sent;
}
