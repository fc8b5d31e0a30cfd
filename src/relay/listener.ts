import { createServer, type Server, type Socket } from 'node:net';

import type { ConnectionHost } from './connection-host.js';
import { ConnectionCounter } from './connection-counter.js';
import type { RelayLimits } from './limits.js';
import { type ListenPlace, Ports } from './ports.js';

/** What a listener needs to know. */
export interface ListenerOptions {
  readonly limits: RelayLimits;
  /** What a client is counted by, from its address; undefined if it is not counted. */
  readonly clientKey: (address: string | undefined) => string | undefined;
  /** Told when connections cannot be accepted for a while. */
  readonly failed: (error: unknown) => void;
}

/** The ports of a relay: accepts connections, counts them, and gives them to whoever serves them. */
export class RelayListener {
  readonly #host: ConnectionHost;
  readonly #options: ListenerOptions;
  readonly #ports: Ports<Server>;
  readonly #counter: ConnectionCounter;

  constructor(host: ConnectionHost, options: ListenerOptions) {
    this.#host = host;
    this.#options = options;
    const { connections, connectionsPerAddress } = options.limits;
    this.#counter = new ConnectionCounter(connections, connectionsPerAddress);
    const arrive = (socket: Socket): void => {
      this.#arrive(socket);
    };
    this.#ports = new Ports({
      // Nothing is read before it is known who serves it: that may be another process.
      create: () => createServer({ pauseOnConnect: true }, arrive),
      section: 'TRANSPORT',
      failed: options.failed,
    });
  }

  /**
   * Starts to listen, and gives the port of each place.
   *
   * @throws XftpError ADDRESS_IN_USE, NO_PERMISSION or LOCAL_IO; then it listens nowhere
   */
  listen(places: readonly ListenPlace[]): Promise<readonly number[]> {
    return this.#ports.open(places);
  }

  /** Takes no more connections; whoever serves those that are there knows when they have ended. */
  close(): void {
    this.#ports.stopListening();
  }

  #arrive(socket: Socket): void {
    const client = this.#options.clientKey(socket.remoteAddress);
    const leave = this.#counter.enter(client);
    if (leave === undefined) socket.destroy();
    else this.#host.take(socket, client, leave);
  }
}
