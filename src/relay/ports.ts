import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';

import { XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';
import { describeFileError } from './file-errors.js';
import { LISTEN_BACKLOG } from './limits.js';

/** Where to listen. */
export interface ListenPlace {
  /** An address of this machine; undefined: all of them, IPv6 and IPv4. */
  readonly host: string | undefined;
  /** 0 lets the system choose one. */
  readonly port: number;
}

/** Ports of one kind. */
export interface PortsOptions<S extends Server> {
  /** Makes the server of a port. */
  readonly create: () => S;
  /** The section of the INI that names the ports, for messages. */
  readonly section: string;
  /** Told when connections cannot be accepted for a while. */
  readonly failed: (error: unknown) => void;
}

/** Ports of a relay that do the same. */
export class Ports<S extends Server> {
  readonly #servers: S[] = [];
  readonly #options: PortsOptions<S>;

  constructor(options: PortsOptions<S>) {
    this.#options = options;
  }

  /** Those that listen. */
  get servers(): readonly S[] {
    return this.#servers;
  }

  /**
   * Listens everywhere, and gives the port of each place.
   *
   * @throws XftpError ADDRESS_IN_USE, NO_PERMISSION or LOCAL_IO; then it listens nowhere
   */
  async open(places: readonly ListenPlace[]): Promise<readonly number[]> {
    const ports: number[] = [];
    try {
      // A port that listens to all of IPv6 takes IPv4 too, unless that has a place of its own.
      const ipv6Only = places.some(({ host }) => host === '0.0.0.0');
      for (const place of places) ports.push(await this.#listen(place, ipv6Only));
    } catch (error) {
      await this.close();
      throw error;
    }
    return ports;
  }

  /**
   * Takes no more connections; those that are there go on. That they have ended could not be waited for: Node does not
   * tell of connections that were handed to a process which has died.
   */
  stopListening(): void {
    for (const server of this.#servers) server.close();
  }

  /** Takes no more connections; resolves when those that are there, none of which was handed on, have ended. */
  async close(): Promise<void> {
    await Promise.all(
      this.#servers.map(
        (server) =>
          new Promise<void>((resolve) => {
            server.close(() => {
              resolve();
            });
          }),
      ),
    );
  }

  async #listen({ host, port }: ListenPlace, ipv6Only: boolean): Promise<number> {
    const server = this.#options.create();
    const listening = once(server, 'listening');
    server.listen({ port, backlog: LISTEN_BACKLOG, ipv6Only, ...(host === undefined ? {} : { host }) });
    try {
      await listening;
    } catch (error) {
      throw listenFailure(error, this.#options.section, host, port);
    }
    // Such as running out of file descriptors while accepting: the next client may have more luck.
    server.on('error', this.#options.failed);
    this.#servers.push(server);
    return (server.address() as AddressInfo).port; // listens on a TCP port
  }
}

function listenFailure(cause: unknown, section: string, host: string | undefined, port: number): XftpError {
  const place = host === undefined ? `port ${String(port)}` : `${host}, port ${String(port)}`;
  switch (errorCode(cause)) {
    case 'EACCES':
      return new XftpError(
        'NO_PERMISSION',
        `The relay may not listen on ${place}: ports below 1024 need root or CAP_NET_BIND_SERVICE; ` +
          `or set another port in [${section}] of file-server.ini.`,
        { cause },
      );
    case 'EADDRINUSE':
      return new XftpError(
        'ADDRESS_IN_USE',
        `The relay cannot listen on ${place}: another program listens there already; ` +
          `stop that one, or set another port in [${section}] of file-server.ini.`,
        { cause },
      );
    default:
      return describeFileError(cause, `The relay cannot listen on ${place}`);
  }
}
