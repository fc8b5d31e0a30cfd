import { randomInt } from 'node:crypto';

import { type ServerAddress, XftpError } from '../protocol/index.js';
import type { ServerGates } from './server-gates.js';
import { serverKey, type ServerStore } from './server-store.js';

/**
 * Picks servers for the chunks of one file: at random for each chunk, so that no relay sees more of a file than it
 * must; those whose gate is open first, and among these those of the highest priority. A server that refused is left
 * out for the rest of the run.
 */
export class ServerPick {
  readonly #gates: ServerGates;
  readonly #store: ServerStore;
  #servers: readonly ServerAddress[];
  #lastRefusal: XftpError | undefined;

  constructor(servers: readonly ServerAddress[], gates: ServerGates, store: ServerStore) {
    this.#servers = servers;
    this.#gates = gates;
    this.#store = store;
  }

  /**
   * A server for a chunk.
   *
   * @throws XftpError of the last refusal when none is left
   */
  next(): ServerAddress {
    const open = this.#servers.filter((server) => this.#gates.isOpen(serverKey(server)));
    const candidates = this.#preferred(open.length > 0 ? open : this.#servers);
    const server = candidates[randomInt(Math.max(1, candidates.length))];
    if (server === undefined)
      throw (
        this.#lastRefusal ??
        new XftpError('INVALID_ARGUMENT', 'There is no relay to send through: add one to the server list.')
      );
    return this.#store.withPassword(server);
  }

  /** Those with the highest priority. */
  #preferred(servers: readonly ServerAddress[]): readonly ServerAddress[] {
    const priorities = servers.map((server) => this.#store.priorityOf(server));
    const highest = Math.max(...priorities);
    return servers.filter((_, index) => priorities[index] === highest);
  }

  /** Whether another server than this one could be asked now. */
  hasOpenOther(server: ServerAddress): boolean {
    const key = serverKey(server);
    return this.#servers.some((other) => serverKey(other) !== key && this.#gates.isOpen(serverKey(other)));
  }

  /** The server with this address, with its password, if it is among those to choose from. */
  find(address: string): ServerAddress | undefined {
    const server = this.#servers.find((other) => serverKey(other) === address);
    return server === undefined ? undefined : this.#store.withPassword(server);
  }

  /** The server is not asked again for this file; false if that was known already. */
  exclude(server: ServerAddress, reason: XftpError): boolean {
    const key = serverKey(server);
    const before = this.#servers.length;
    this.#servers = this.#servers.filter((other) => serverKey(other) !== key);
    this.#lastRefusal = reason;
    return this.#servers.length < before;
  }
}
