// The other end of a bare TLS connection: swallows (`sink`) or sends (`source`) a number of bytes.
import { createServer } from 'node:tls';

import {
  createIdentityCertificate,
  createOnlineCertificate,
  pemEncode,
  randomBytes,
} from '../dist/crypto/index.js';

const [role, total] = process.argv.slice(2);
const PIECE = 64 * 1024;

const identity = createIdentityCertificate('ed25519');
const online = createOnlineCertificate({ identity, algorithm: 'ed25519', commonName: 'localhost' });

const server = createServer(
  {
    cert: pemEncode('CERTIFICATE', online.certificate) + pemEncode('CERTIFICATE', identity.certificate),
    key: pemEncode('PRIVATE KEY', online.privateKey),
  },
  (socket) => {
    socket.on('error', () => undefined);
    if (role === 'sink') socket.resume().on('end', () => socket.end());
    else void sendAll(socket);
  },
);
server.listen(0, '127.0.0.1', () => console.log(server.address().port));

async function sendAll(socket) {
  const piece = randomBytes(PIECE);
  socket.resume();
  for (let sent = 0; sent < Number(total); sent += PIECE)
    if (!socket.write(piece)) await new Promise((resolve) => socket.once('drain', resolve));
  socket.end();
}
