// What a relay costs at least: HTTP/2 over TLS as Node has it, with the relay's kind of certificates, windows and piece
// sizes, and nothing behind it. Bodies are dropped, or sent again and again from one piece of memory.
//
// It shakes hands as a relay does, so that the same client can measure both. Each request after that begins with a
// block: its first four bytes are the number of bytes that are wanted back, and its answer begins with a block too.
import { performServerHandshake } from 'node:http2';
import { createServer } from 'node:tls';

import { fingerprintOf, randomBytes } from '../dist/crypto/index.js';
import { ALPN_XFTP, BLOCK_SIZE, encodeBase64Url } from '../dist/protocol/index.js';
import { createCredentials } from '../dist/relay/index.js';
import { acceptHello } from '../dist/relay/handshake-state.js';
import {
  CONNECTION_WINDOW,
  DOWNLOAD_PIECE,
  SESSION_MEMORY_MB,
  WIDE_STREAM_WINDOW,
} from '../dist/relay/limits.js';
import { nativeContext } from '../dist/relay/shown-identity.js';

const credentials = createCredentials('ed448', 'localhost');
const block = randomBytes(BLOCK_SIZE);
const piece = randomBytes(DOWNLOAD_PIECE);

const server = createServer(
  { ...nativeContext({ credentials, web: undefined }), ALPNProtocols: [ALPN_XFTP] },
  (socket) => {
    socket.on('error', () => undefined);
    socket.setNoDelay(true);
    const session = performServerHandshake(socket, {
      maxSessionMemory: SESSION_MEMORY_MB,
      settings: { initialWindowSize: WIDE_STREAM_WINDOW, enablePush: false },
    });
    session.on('error', () => undefined);
    session.setLocalWindowSize(CONNECTION_WINDOW);
    let requests = 0;
    session.on('stream', (stream) => {
      stream.on('error', () => undefined);
      requests += 1;
      if (requests === 1) greet(stream, socket.getPeerFinished());
      else if (requests === 2) void answer(stream, undefined);
      else void answer(stream, block);
    });
  },
);
server.listen(0, '127.0.0.1', () => {
  const fingerprint = encodeBase64Url(fingerprintOf(credentials.identityCertificate));
  console.log(`xftp://${fingerprint}@127.0.0.1:${server.address().port}`);
});

function greet(stream, sessionId) {
  stream.resume();
  const context = { credentials, sessionId: Uint8Array.from(sessionId), sniUsed: false };
  const { reply } = acceptHello({ stage: 'initial' }, new Uint8Array(), context);
  stream.respond({ ':status': 200 });
  stream.end(reply);
}

async function answer(stream, first) {
  const wanted = await drop(stream);
  if (stream.destroyed) return;
  stream.respond({ ':status': 200 });
  if (first === undefined) {
    stream.end();
    return;
  }
  stream.write(first);
  for (let left = wanted; left > 0; left -= piece.length)
    await new Promise((sent) => stream.write(left < piece.length ? piece.subarray(0, left) : piece, sent));
  stream.end();
}

/** Resolves at the end of the body with what its first four bytes say. */
function drop(stream) {
  return new Promise((resolve) => {
    let wanted;
    stream.on('data', (bytes) => (wanted ??= bytes.readUInt32BE(0)));
    stream.once('end', () => resolve(wanted));
    stream.once('close', () => resolve(0));
  });
}
