// CPU time of the bare primitives, of a bare TLS connection over loopback, and of a bare file, in seconds per GiB.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, fdatasyncSync, fsyncSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';

import { randomBytes, SecretBoxStream } from '../dist/crypto/index.js';
import { DOWNLOAD_PIECE, UPLOAD_WRITE } from '../dist/relay/limits.js';

const PIECE = 4 * 1024 * 1024;
const GIB = 1024 ** 3;
const GB = 1e9;
/** What HTTP/2 hands over at once of an upload: a frame, which fits a record of TLS. */
const FRAME = 16 * 1024;
/** Enough for a steady figure, little enough for a short run. */
const TOTAL = 512 * 1024 * 1024;
/** How much a bare TLS connection is handed at once: what a careful program would do. */
const TLS_PIECE = 64 * 1024;

export const TLS_CIPHER = 'TLS_CHACHA20_POLY1305_SHA256';

/** Measures everything one after another; the file is made in `folder`. */
export async function measurePrimitives(folder) {
  const buffer = randomBytes(PIECE);
  const box = new SecretBoxStream(randomBytes(32), randomBytes(24));
  const tag = box.tag();
  const sha512 = createHash('sha512');
  return {
    xsalsa20: measure(() => box.xor(buffer, 0)),
    poly1305: measure(() => tag.update(buffer)),
    sha512: measure(() => sha512.update(buffer)),
    sha256: measure(() => createHash('sha256').update(buffer).digest()),
    tlsSend: await measureTls('send'),
    tlsReceive: await measureTls('receive'),
    ...measureFile(join(folder, 'bare-file'), buffer),
  };
}

/** What the protocol makes unavoidable for a client, and the same with the file on its disk, in seconds per GiB. */
export function unavoidable(primitives) {
  const { xsalsa20, poly1305, sha512, sha256, tlsSend, tlsReceive, fileRead, fileWrite } = primitives;
  const send = xsalsa20 + poly1305 + sha512 + sha256 + tlsSend;
  const receive = 2 * (xsalsa20 + poly1305) + sha512 + sha256 + tlsReceive;
  return { send, receive, sendWithFile: send + fileRead, receiveWithFile: receive + fileWrite };
}

/**
 * What a relay does with each byte beside TLS and HTTP/2, in seconds per GB: the digest over pieces as HTTP/2 gives
 * them, the box around a download over pieces as the relay reads them, and files of one chunk, written with a flush at
 * the end, and read. The files are made in `folder`.
 */
export function measureRelayPrimitives(folder) {
  const piece = randomBytes(DOWNLOAD_PIECE);
  const box = new SecretBoxStream(randomBytes(32), randomBytes(24));
  const tag = box.tag();
  const digest = createHash('sha256');
  const inFrames = () => {
    for (let start = 0; start < piece.length; start += FRAME)
      digest.update(piece.subarray(start, start + FRAME));
  };
  const { fileWrite, fileRead } = measureChunkFiles(folder);
  const figures = {
    sha256: measure(inFrames, piece.length),
    xsalsa20: measure(() => box.xor(piece, 0), piece.length),
    poly1305: measure(() => tag.update(piece), piece.length),
    fileWrite,
    fileRead,
  };
  return Object.fromEntries(Object.entries(figures).map(([name, perGib]) => [name, perGib * (GB / GIB)]));
}

function measureChunkFiles(folder) {
  const [written, read] = [randomBytes(UPLOAD_WRITE), Buffer.alloc(DOWNLOAD_PIECE)];
  const path = (chunk) => join(folder, `bare-chunk-${chunk}`);
  const chunks = Array.from({ length: TOTAL / PIECE }, (_, chunk) => chunk);
  const beforeWrite = process.cpuUsage();
  for (const chunk of chunks) {
    const file = openSync(path(chunk), 'wx');
    for (let done = 0; done < PIECE; done += written.length)
      writeSync(file, written, 0, written.length, done);
    fdatasyncSync(file);
    closeSync(file);
  }
  const fileWrite = cpuSecondsSince(beforeWrite) * (GIB / TOTAL);
  const beforeRead = process.cpuUsage();
  for (const chunk of chunks) {
    const file = openSync(path(chunk), 'r');
    for (let done = 0; done < PIECE; done += read.length) readSync(file, read, 0, read.length, done);
    closeSync(file);
  }
  const fileRead = cpuSecondsSince(beforeRead) * (GIB / TOTAL);
  for (const chunk of chunks) unlinkSync(path(chunk));
  return { fileWrite, fileRead };
}

/** Writing a new file of 1 GiB, as a received one is, and reading it. */
function measureFile(path, buffer) {
  const file = openSync(path, 'wx+');
  try {
    const beforeWrite = process.cpuUsage();
    for (let done = 0; done < GIB; done += PIECE) writeSync(file, buffer, 0, PIECE, done);
    fsyncSync(file);
    const fileWrite = cpuSecondsSince(beforeWrite);
    const beforeRead = process.cpuUsage();
    for (let done = 0; done < GIB; done += PIECE) readSync(file, buffer, 0, PIECE, done);
    return { fileWrite, fileRead: cpuSecondsSince(beforeRead) };
  } finally {
    closeSync(file);
    unlinkSync(path);
  }
}

function measure(work, piece = PIECE) {
  work();
  const before = process.cpuUsage();
  for (let done = 0; done < TOTAL; done += piece) work();
  return cpuSecondsSince(before) * (GIB / TOTAL);
}

/** The CPU of one side of a TLS connection; the other side is another process. */
async function measureTls(direction) {
  const path = fileURLToPath(new URL('tls-peer.js', import.meta.url));
  const peer = spawn(process.execPath, [path, direction === 'send' ? 'sink' : 'source', String(TOTAL)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  peer.stdout.setEncoding('utf8');
  const [port] = await once(peer.stdout, 'data');
  const socket = connect({
    host: '127.0.0.1',
    port: Number(port),
    servername: '',
    rejectUnauthorized: false,
    ciphers: TLS_CIPHER,
  });
  await once(socket, 'secureConnect');
  const before = process.cpuUsage();
  if (direction === 'send') await sendAll(socket);
  else await receiveAll(socket);
  const seconds = cpuSecondsSince(before) * (GIB / TOTAL);
  socket.destroy();
  peer.kill();
  await once(peer, 'close');
  return seconds;
}

async function sendAll(socket) {
  const piece = randomBytes(TLS_PIECE);
  socket.resume();
  for (let sent = 0; sent < TOTAL; sent += TLS_PIECE) if (!socket.write(piece)) await once(socket, 'drain');
  socket.end();
  await once(socket, 'end');
}

async function receiveAll(socket) {
  socket.on('data', () => undefined);
  await once(socket, 'end');
}

function cpuSecondsSince(before) {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
