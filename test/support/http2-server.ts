import { once } from 'node:events';
import {
  performServerHandshake,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';

import { onTestFinished } from 'vitest';

import { createIdentityCertificate, createOnlineCertificate, pemEncode } from '#src/crypto/index.js';
import { ALPN_XFTP } from '#src/protocol/index.js';

/** What a server shows in TLS: certificates (DER), leaf first, and the key (PKCS8) of the leaf. */
export interface TlsCredentials {
  readonly certificates: readonly Uint8Array[];
  readonly privateKey: Uint8Array;
}

/** The certificates of an honest relay on loopback. */
export function createCredentials(): TlsCredentials & {
  readonly identity: ReturnType<typeof createIdentityCertificate>;
} {
  const identity = createIdentityCertificate('ed25519');
  const leaf = createOnlineCertificate({ identity, algorithm: 'ed25519', commonName: '127.0.0.1' });
  return {
    identity,
    certificates: [leaf.certificate, identity.certificate],
    privateKey: leaf.privateKey,
  };
}

/** One connection of a client. */
export interface ServerConnection {
  readonly socket: TLSSocket;
  readonly session: ServerHttp2Session;
}

/** An HTTP/2 server over TLS on loopback. */
export interface LoopbackServer {
  readonly host: string;
  readonly port: number;
  /** Connections that are open, and how many (TCP) there were in all. */
  readonly connections: ReadonlySet<ServerConnection>;
  readonly accepted: () => number;
  /** Resolves when the last connection has ended. */
  readonly allClosed: () => Promise<void>;
}

/** How the server is to be. */
export interface LoopbackServerOptions {
  readonly credentials?: TlsCredentials;
  /** The protocol that it selects; false if it knows nothing of ALPN; undefined selects `xftp/1`. */
  readonly alpn?: string | false;
  /** Called with each TLS connection; without it, the connection speaks HTTP/2. */
  readonly onSocket?: (socket: TLSSocket) => void;
  readonly onStream?: (
    stream: ServerHttp2Stream,
    connection: ServerConnection,
    headers: IncomingHttpHeaders,
  ) => void;
}

/** Starts a server, which ends with the running test. */
export async function startHttp2Server(options: LoopbackServerOptions): Promise<LoopbackServer> {
  const { certificates, privateKey } = options.credentials ?? createCredentials();
  const { alpn = ALPN_XFTP } = options;
  const sockets = new Set<TLSSocket>();
  const connections = new Set<ServerConnection>();
  let accepted = 0;
  const server = createServer({
    key: pemEncode('PRIVATE KEY', privateKey),
    cert: certificates.map((certificate) => pemEncode('CERTIFICATE', certificate)).join(''),
    ...(alpn === false
      ? {}
      : {
          ALPNCallback: ({ protocols }: { protocols: string[] }) =>
            protocols.includes(alpn) ? alpn : undefined,
        }),
  });
  server.on('tlsClientError', () => undefined);
  server.on('connection', () => {
    accepted += 1;
  });
  server.on('secureConnection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    if (options.onSocket !== undefined) {
      options.onSocket(socket);
      return;
    }
    // Wide windows, so that what a test does not read does not hold up what it does.
    const session = performServerHandshake(socket, { settings: { initialWindowSize: 8 * 1024 * 1024 } });
    const connection = { socket, session };
    connections.add(connection);
    session.on('error', () => undefined);
    session.on('close', () => connections.delete(connection));
    session.on('stream', (stream, headers) => {
      stream.on('error', () => undefined);
      options.onStream?.(stream, connection, headers);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  const { address: host, port } = server.address() as AddressInfo; // listens on a TCP port
  return {
    host,
    port,
    connections,
    accepted: () => accepted,
    allClosed: async () => {
      await Promise.all([...sockets].map((socket) => once(socket, 'close')));
    },
  };
}

/** The whole body of a request. */
export async function readBody(stream: ServerHttp2Stream): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer); // a stream without encoding
  return Buffer.concat(parts);
}
