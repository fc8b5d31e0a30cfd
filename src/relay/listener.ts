import { constants } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';

import { ALPN_H2, ALPN_HTTP11, ALPN_XFTP, XftpError } from '../protocol/index.js';
import { pemEncode } from '../crypto/index.js';
import { errorCode } from '../system/index.js';
import { RelayConnection } from './connection.js';
import { describeFileError } from './file-errors.js';
import { LISTEN_BACKLOG } from './limits.js';
import type { RelayServices } from './services.js';

/** "Picks the first of `xftp/1`, `h2`, `http/1.1` that the client offers" (protocol reference, section 1.2). */
const ALPN_PREFERENCE = [ALPN_XFTP, ALPN_H2, ALPN_HTTP11] as const;

/** How often the connections are looked through for clients that have gone, in ms. */
const PEER_CHECK_MS = 1000;

/** The TLS port of a relay and the connections on it. */
export class RelayListener {
  readonly #services: RelayServices;
  readonly #server: Server;
  /** Sockets whose TLS handshake is under way, by the client's end of them. */
  readonly #shaking = new Map<string, Socket>();
  readonly #connections = new Set<RelayConnection>();
  #peerCheck: NodeJS.Timeout | undefined;

  constructor(services: RelayServices) {
    this.#services = services;
    this.#server = createTlsServer(services);
    this.#server.maxConnections = services.limits.connections;
    this.#server.on('connection', (socket: Socket) => {
      const peer = peerOf(socket);
      this.#shaking.set(peer, socket);
      socket.once('close', () => {
        if (this.#shaking.get(peer) === socket) this.#shaking.delete(peer);
      });
      socket.on('error', ignore);
    });
    this.#server.on('tlsClientError', (error, socket) => {
      services.tlsFailed(error);
      socket.destroy();
    });
    this.#server.on('secureConnection', (socket) => {
      this.#accept(socket);
    });
  }

  /**
   * Starts to listen, and gives the port.
   *
   * @param host address to listen on; on all, IPv6 and IPv4, unless given
   * @param port 0 lets the system choose one
   * @throws XftpError ADDRESS_IN_USE, NO_PERMISSION or LOCAL_IO
   */
  async listen(host: string | undefined, port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      const fail = (error: Error): void => {
        reject(listenFailure(error, host, port));
      };
      this.#server.once('error', fail);
      const where = host === undefined ? { port } : { port, host };
      this.#server.listen({ ...where, backlog: LISTEN_BACKLOG }, () => {
        this.#server.removeListener('error', fail);
        // Such as running out of file descriptors while accepting: the next client may have more luck.
        this.#server.on('error', this.#services.failed);
        resolve();
      });
    });
    this.#peerCheck = setInterval(() => {
      for (const connection of this.#connections) if (!connection.hasPeer) connection.destroy();
    }, PEER_CHECK_MS).unref();
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : port;
  }

  /** Number of connections whose TLS handshake is done. */
  get clients(): number {
    return this.#connections.size;
  }

  /** Closes connections whose last request started before a time, in ms. */
  closeUnusedSince(time: number): void {
    for (const connection of this.#connections) if (connection.lastRequestAt < time) connection.destroy();
  }

  /** Takes no more connections and requests, waits for the requests under way, and then ends what is left. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) =>
      this.#server.close(() => {
        resolve();
      }),
    );
    const deadline = setTimeout(() => {
      for (const connection of this.#connections) connection.destroy();
    }, this.#services.limits.shutdownMs);
    for (const connection of this.#connections) connection.close();
    for (const socket of this.#shaking.values()) socket.destroy();
    await closed;
    clearTimeout(deadline);
    clearInterval(this.#peerCheck);
  }

  #accept(socket: TLSSocket): void {
    this.#shaking.delete(peerOf(socket));
    socket.on('error', ignore);
    if (socket.destroyed) return;
    try {
      const connection = new RelayConnection(socket, this.#services);
      this.#connections.add(connection);
      void connection.closed.then(() => {
        this.#connections.delete(connection);
        socket.destroy();
      });
    } catch {
      socket.destroy(); // It went away between the handshake and here.
    }
  }
}

/** TLS as the reference's native parameters have it (protocol reference, section 1.1). */
function createTlsServer({ credentials, limits }: RelayServices): Server {
  const { online, identityCertificate } = credentials;
  return createServer({
    key: pemEncode('PRIVATE KEY', online.privateKey),
    cert: pemEncode('CERTIFICATE', online.certificate) + pemEncode('CERTIFICATE', identityCertificate),
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers: 'TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-CHACHA20-POLY1305',
    sigalgs: 'ed448:ed25519',
    ecdhCurve: 'X448:X25519',
    // "Only full handshakes occur in practice" (section 1.4): a session identifier must be fresh.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    handshakeTimeout: limits.tlsHandshakeMs,
    requestCert: false,
    ALPNCallback: ({ protocols }) => ALPN_PREFERENCE.find((protocol) => protocols.includes(protocol)),
  });
}

/** TLS sockets do not tell the socket under them, but both have the same other end. */
function peerOf(socket: Socket): string {
  return `${socket.remoteAddress ?? ''} ${String(socket.remotePort)}`;
}

function listenFailure(cause: Error, host: string | undefined, port: number): XftpError {
  const place = host === undefined ? `port ${String(port)}` : `${host}, port ${String(port)}`;
  switch (errorCode(cause)) {
    case 'EACCES':
      return new XftpError(
        'NO_PERMISSION',
        `The relay may not listen on ${place}: ports below 1024 need root or CAP_NET_BIND_SERVICE; ` +
          'or set another port in [TRANSPORT] of file-server.ini.',
        { cause },
      );
    case 'EADDRINUSE':
      return new XftpError(
        'ADDRESS_IN_USE',
        `The relay cannot listen on ${place}: another program listens there already; ` +
          'stop that one, or set another port in [TRANSPORT] of file-server.ini.',
        { cause },
      );
    default:
      return describeFileError(cause, `The relay cannot listen on ${place}`);
  }
}

function ignore(): void {
  // 'close' follows; nothing is logged about clients.
}
