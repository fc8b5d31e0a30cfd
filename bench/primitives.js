// CPU time of the bare primitives, of a bare TLS connection over loopback, and of a bare file, in seconds per GiB.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, fsyncSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';

import { randomBytes, SecretBoxStream } from '../dist/crypto/index.js';

const PIECE = 4 * 1024 * 1024;
const GIB = 1024 ** 3;
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

function measure(work) {
  work();
  const before = process.cpuUsage();
  for (let done = 0; done < TOTAL; done += PIECE) work();
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
