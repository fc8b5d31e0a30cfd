import type { Socket } from 'node:net';
import { createServer, type SecureContext, type Server, type TLSSocket } from 'node:tls';

import { ALPN_H2, ALPN_HTTP11, ALPN_XFTP } from '../protocol/index.js';
import { RelayConnection } from './connection.js';
import type { ConnectionHost, HostMeasures } from './connection-host.js';
import { type FirstBytes, onFirstBytes, PLAIN_HTTP_ANSWER } from './first-bytes.js';
import type { ConnectionServices } from './services.js';
import { nativeContext, type ShownIdentity, webContext } from './shown-identity.js';

/** "Picks the first of `xftp/1`, `h2`, `http/1.1` that the client offers" (protocol reference, section 1.2). */
const ALPN_PREFERENCE = [ALPN_XFTP, ALPN_H2, ALPN_HTTP11] as const;

/** How often the connections are looked through for clients that have gone, in ms. */
const PEER_CHECK_MS = 1000;

/** A client whose TLS handshake is under way, or has not begun. */
interface Arrival {
  readonly socket: Socket;
  readonly client: string | undefined;
  /** What its handshake shows: decided when it begins. */
  shown: ShownIdentity;
  readonly deadline: NodeJS.Timeout;
}

/** Serves connections in this process. */
export class LocalHost implements ConnectionHost {
  readonly #services: ConnectionServices;
  /** Does not listen itself: it is given the connections that begin with TLS. */
  readonly #tls: Server;
  /** All that are not closed yet, and what is to be called when the last one is. */
  readonly #sockets = new Set<Socket>();
  #empty: (() => void) | undefined;
  /** By both ends of the connection, since TLS sockets do not tell the socket under them. */
  readonly #arrivals = new Map<string, Arrival>();
  readonly #connections = new Set<RelayConnection>();
  readonly #peerCheck: NodeJS.Timeout;
  #shown: ShownIdentity;
  #web: SecureContext | undefined;
  #stopped = false;

  constructor(shown: ShownIdentity, services: ConnectionServices) {
    this.#services = services;
    this.#shown = shown;
    this.#web = webContext(shown);
    this.#tls = createServer({
      ...nativeContext(shown),
      requestCert: false,
      ALPNCallback: ({ protocols }) => ALPN_PREFERENCE.find((protocol) => protocols.includes(protocol)),
      SNICallback: (_name, give) => {
        give(null, this.#web);
      },
    });
    this.#tls.on('tlsClientError', (error, socket) => {
      services.tlsFailed(error);
      socket.destroy();
    });
    this.#tls.on('secureConnection', (socket) => {
      this.#accept(socket);
    });
    this.#peerCheck = setInterval(() => {
      for (const connection of this.#connections) if (!connection.hasPeer) connection.destroy();
    }, PEER_CHECK_MS).unref();
  }

  show(shown: ShownIdentity): Promise<void> {
    const web = webContext(shown);
    this.#tls.setSecureContext(nativeContext(shown));
    this.#web = web;
    this.#shown = shown;
    return Promise.resolve();
  }

  measure(): Promise<HostMeasures> {
    return Promise.resolve({ clients: this.#connections.size, processes: [] });
  }

  closeUnusedSince(time: number): void {
    for (const connection of this.#connections) if (connection.lastRequestAt < time) connection.destroy();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    const deadline = setTimeout(() => {
      for (const connection of this.#connections) connection.destroy();
    }, this.#services.limits.shutdownMs);
    for (const connection of this.#connections) connection.close();
    for (const { socket } of this.#arrivals.values()) socket.destroy();
    await new Promise<void>((resolve) => {
      this.#empty = resolve;
      if (this.#sockets.size === 0) resolve();
    });
    clearTimeout(deadline);
    clearInterval(this.#peerCheck);
  }

  take(socket: Socket, client: string | undefined, ended: () => void): void {
    socket.on('error', ignore);
    this.#sockets.add(socket);
    const ends = endsOf(socket);
    const deadline = setTimeout(() => {
      socket.destroy();
    }, this.#services.limits.tlsHandshakeMs);
    const arrival: Arrival = { socket, client, shown: this.#shown, deadline };
    this.#arrivals.set(ends, arrival);
    socket.once('close', () => {
      ended();
      clearTimeout(deadline);
      if (this.#arrivals.get(ends) === arrival) this.#arrivals.delete(ends);
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.#empty?.();
    });
    if (this.#stopped) {
      socket.destroy();
      return;
    }
    onFirstBytes(socket, (first) => {
      if (first !== 'tls') {
        this.#refuse(socket, first);
        return;
      }
      arrival.shown = this.#shown;
      this.#tls.emit('connection', socket);
    });
  }

  /** TLS has been ended before it could reach the relay, or is missing: clients could never trust what they get. */
  #refuse(socket: Socket, first: Exclude<FirstBytes, 'tls'>): void {
    if (first === 'http') {
      // The rest of the request is thrown away: unread, it would take the answer away with it.
      socket.resume();
      socket.end(PLAIN_HTTP_ANSWER);
    } else socket.destroy();
    if (first !== 'other') this.#services.misled(first);
  }

  #accept(socket: TLSSocket): void {
    const ends = endsOf(socket);
    const arrival = this.#arrivals.get(ends);
    this.#arrivals.delete(ends);
    clearTimeout(arrival?.deadline);
    socket.on('error', ignore);
    if (socket.destroyed || arrival === undefined) {
      socket.destroy();
      return;
    }
    try {
      const connection = new RelayConnection(socket, arrival, this.#services);
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

function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return [remoteAddress, remotePort, localAddress, localPort].join(' ');
}

function ignore(): void {
  // 'close' follows; nothing is logged about clients.
}
