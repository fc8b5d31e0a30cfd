import { randomInt } from 'node:crypto';

import { type ServerAddress, XftpError } from '../protocol/index.js';
import type { RelayAccess } from './relay-access.js';
import type { ServerGates } from './server-gates.js';
import { serverKey, type ServerStore } from './server-store.js';

/** Servers, by address, that others than the one who asks have taken. */
export type Taken = ReadonlySet<string>;

const NONE: Taken = new Set();

/**
 * Picks servers for the chunks of one file: at random for each replica, so that no relay sees more of a file than it
 * must; those whose gate is open first, among these those of an operator who has no replica of the chunk yet, and then
 * those of the highest priority. A server that refused is left out until the list of servers changes.
 */
export class ServerPick {
  readonly #gates: ServerGates;
  readonly #store: ServerStore;
  readonly #listed: () => readonly ServerAddress[];
  readonly #copies: number;
  readonly #refusals = new Map<string, XftpError>();
  #operators: ReadonlyMap<string, string> = new Map();
  #servers: readonly ServerAddress[] = [];
  #version: number | undefined;

  /**
   * @param listed all servers that the file may go to, as the list is now
   * @param copies on how many each chunk has to be
   */
  constructor(
    { listed, copies }: { readonly listed: () => readonly ServerAddress[]; readonly copies: number },
    gates: ServerGates,
    store: ServerStore,
  ) {
    this.#listed = listed;
    this.#copies = copies;
    this.#gates = gates;
    this.#store = store;
  }

  /** Servers to choose from. */
  get #choice(): readonly ServerAddress[] {
    if (this.#store.version !== this.#version) {
      const listed = [...new Map(this.#listed().map((server) => [serverKey(server), server])).values()];
      // A server may be about to be replaced: with too few of them a file that was begun keeps to those it had.
      if (this.#version === undefined || listed.length >= this.#copies) {
        this.#servers = listed;
        this.#operators = this.#store.operators();
        this.#refusals.clear();
      }
      this.#version = this.#store.version;
    }
    return this.#servers;
  }

  /**
   * A server for a replica of a chunk.
   *
   * @param taken servers that have another replica of the chunk, or are about to get one
   * @throws XftpError when none is left, with the code of the last refusal
   */
  next(taken: Taken = NONE): ServerAddress {
    const free = this.#free(taken);
    const open = free.filter((server) => this.#gates.isOpen(serverKey(server)));
    const operators = new Set([...taken].map((key) => this.#operatorOf(key)));
    const candidates = this.#first(
      preferred(
        open.length > 0 ? open : free,
        (server) => !operators.has(this.#operatorOf(serverKey(server))),
      ),
    );
    const server = candidates[randomInt(Math.max(1, candidates.length))];
    if (server === undefined) throw this.#noneLeft(taken);
    return this.#store.withPassword(server);
  }

  /** Those with the highest priority. */
  #first(servers: readonly ServerAddress[]): readonly ServerAddress[] {
    const priorities = servers.map((server) => this.#store.priorityOf(server));
    const highest = Math.max(...priorities);
    return servers.filter((_, index) => priorities[index] === highest);
  }

  /** Whether a server that is not taken, and another than this one, could be asked now. */
  hasOpenOther(server: ServerAddress, taken: Taken = NONE): boolean {
    const own = serverKey(server);
    return this.#free(taken).some((other) => {
      const key = serverKey(other);
      return key !== own && this.#gates.isOpen(key);
    });
  }

  /** Whether a server that is not taken could be asked now. */
  hasOpen(taken: Taken): boolean {
    return this.#free(taken).some((server) => this.#gates.isOpen(serverKey(server)));
  }

  /** Whether there is a server that is not taken. */
  hasFree(taken: Taken): boolean {
    return this.#free(taken).length > 0;
  }

  /** The server with this address, with its password, if it is among those to choose from. */
  find(address: string): ServerAddress | undefined {
    const server = this.#choice.find((other) => serverKey(other) === address);
    return server === undefined ? undefined : this.#store.withPassword(server);
  }

  /** The server is not asked again for this file; false if that was known already. */
  exclude(server: ServerAddress, reason: XftpError): boolean {
    const key = serverKey(server);
    const before = this.#choice.length;
    this.#servers = this.#choice.filter((other) => serverKey(other) !== key);
    // The last one to refuse comes last.
    this.#refusals.delete(key);
    this.#refusals.set(key, reason);
    return this.#choice.length < before;
  }

  /** How many chunks the ways to all servers to choose from take at once, at least 1. */
  placesUp(relays: Pick<RelayAccess, 'widthOf'>): number {
    return Math.max(
      1,
      this.#choice.reduce((sum, server) => sum + relays.widthOf(server, 'up'), 0),
    );
  }

  /** What keeps those who fail now, by address. */
  failing(): ReadonlyMap<string, XftpError> {
    return new Map(
      this.#choice.flatMap((server) => {
        const key = serverKey(server);
        const { reason } = this.#gates.status(key);
        return reason === undefined ? [] : [[key, reason]];
      }),
    );
  }

  #free(taken: Taken): readonly ServerAddress[] {
    return this.#choice.filter((server) => !taken.has(serverKey(server)));
  }

  /** A server without operator is its own. */
  #operatorOf(key: string): string {
    return this.#operators.get(key) ?? key;
  }

  #noneLeft(taken: Taken): XftpError {
    const last = [...this.#refusals.values()].at(-1);
    if (last === undefined)
      return new XftpError(
        'INVALID_ARGUMENT',
        taken.size === 0
          ? 'There is no relay to send through: add one to the server list.'
          : `Only ${relays(taken.size)} can be used, too few for the copies of this file: add another one to the server list, or send it again with fewer replicas.`,
      );
    if (taken.size === 0 && this.#refusals.size === 1) return last;
    const said = [...this.#refusals].map(([key, { message }]) => `${key}: ${message}`).join(' ');
    return new XftpError(
      last.code,
      `Only ${relays(this.#choice.length)} left for the copies of this file: add another one to the server list, or send it again with fewer replicas. What the others said: ${said}`,
      { cause: last },
    );
  }
}

/** Those that are preferred, or all if none is. */
function preferred<T>(items: readonly T[], isPreferred: (item: T) => boolean): readonly T[] {
  const better = items.filter(isPreferred);
  return better.length > 0 ? better : items;
}

function relays(count: number): string {
  return count === 1 ? '1 relay' : `${String(count)} relays`;
}
