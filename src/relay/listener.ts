import { createServer as createTcpServer, type Server as TcpServer, type Socket } from 'node:net';
import { createServer, type SecureContext, type Server, type TLSSocket } from 'node:tls';

import { ALPN_H2, ALPN_HTTP11, ALPN_XFTP } from '../protocol/index.js';
import { RelayConnection } from './connection.js';
import { ConnectionCounter } from './connection-counter.js';
import { type FirstBytes, onFirstBytes, PLAIN_HTTP_ANSWER } from './first-bytes.js';
import { type ListenPlace, Ports } from './ports.js';
import type { RelayServices } from './services.js';
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

/** The TLS ports of a relay and the connections on them. */
export class RelayListener {
  readonly #services: RelayServices;
  readonly #ports: Ports<TcpServer>;
  /** Does not listen itself: it is given the connections that begin with TLS. */
  readonly #tls: Server;
  readonly #counter: ConnectionCounter;
  /** By both ends of the connection, since TLS sockets do not tell the socket under them. */
  readonly #arrivals = new Map<string, Arrival>();
  readonly #connections = new Set<RelayConnection>();
  /** What has been said about what is in front of the relay. */
  readonly #said = new Set<FirstBytes>();
  #shown: ShownIdentity;
  #web: SecureContext | undefined;
  #peerCheck: NodeJS.Timeout | undefined;

  constructor(shown: ShownIdentity, services: RelayServices) {
    this.#services = services;
    this.#shown = shown;
    this.#web = webContext(shown);
    const { connections, connectionsPerAddress } = services.limits;
    this.#counter = new ConnectionCounter(connections, connectionsPerAddress);
    const arrive = (socket: Socket): void => {
      this.#arrive(socket);
    };
    this.#ports = new Ports({
      create: () => createTcpServer(arrive),
      section: 'TRANSPORT',
      failed: services.failed,
    });
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
  }

  /**
   * Starts to listen, and gives the port of each place.
   *
   * @throws XftpError ADDRESS_IN_USE, NO_PERMISSION or LOCAL_IO; then it listens nowhere
   */
  async listen(places: readonly ListenPlace[]): Promise<readonly number[]> {
    const ports = await this.#ports.open(places);
    this.#peerCheck = setInterval(() => {
      for (const connection of this.#connections) if (!connection.hasPeer) connection.destroy();
    }, PEER_CHECK_MS).unref();
    return ports;
  }

  /** Shows something else to whoever connects from now on. Connections and handshakes under way go on unchanged. */
  show(shown: ShownIdentity): void {
    const web = webContext(shown);
    this.#tls.setSecureContext(nativeContext(shown));
    this.#web = web;
    this.#shown = shown;
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
    const closed = this.#ports.close();
    const deadline = setTimeout(() => {
      for (const connection of this.#connections) connection.destroy();
    }, this.#services.limits.shutdownMs);
    for (const connection of this.#connections) connection.close();
    for (const { socket } of this.#arrivals.values()) socket.destroy();
    await closed;
    clearTimeout(deadline);
    clearInterval(this.#peerCheck);
  }

  #arrive(socket: Socket): void {
    socket.on('error', ignore);
    const client = this.#services.clientKey(socket.remoteAddress);
    const leave = this.#counter.enter(client);
    if (leave === undefined) {
      socket.destroy();
      return;
    }
    const ends = endsOf(socket);
    const deadline = setTimeout(() => {
      socket.destroy();
    }, this.#services.limits.tlsHandshakeMs);
    const arrival: Arrival = { socket, client, shown: this.#shown, deadline };
    this.#arrivals.set(ends, arrival);
    socket.once('close', () => {
      leave();
      clearTimeout(deadline);
      if (this.#arrivals.get(ends) === arrival) this.#arrivals.delete(ends);
    });
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
    if (first === 'other' || this.#said.has(first)) return;
    this.#said.add(first);
    this.#services.report(
      first === 'http'
        ? 'HTTP without TLS came to the port of the relay and was refused: if a proxy stands in front of it, let it pass ' +
            'TLS connections through as they are (TCP mode), since clients check the certificate of the relay itself.'
        : 'A proxy in front of the relay sends the PROXY protocol, which the relay does not speak: turn it off there.',
    );
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
