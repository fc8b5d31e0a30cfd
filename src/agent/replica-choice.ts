import { randomInt } from 'node:crypto';

import { XftpError } from '../protocol/index.js';
import { noneCouldGive, severalFailures } from '../transfer/index.js';
import type { ServerGates } from './server-gates.js';
import type { ServerHealth } from './server-health.js';

/** One of the replicas to choose from. */
export interface Candidate {
  readonly id: number;
  /** Address of its relay. */
  readonly server: string;
}

/** Chooses the replicas that a receive downloads, and remembers what their relays said. */
export class ReplicaChoice {
  readonly #gates: ServerGates;
  readonly #health: ServerHealth;
  readonly #said = new Map<string, XftpError>();

  constructor(gates: ServerGates, health: ServerHealth) {
    this.#gates = gates;
    this.#health = health;
  }

  /** The one whose server does best; when none can be asked now, the one that can be soonest. */
  best<R extends Candidate>(replicas: readonly R[]): R | undefined {
    return this.bestOpen(replicas) ?? least(replicas, ({ server }) => this.#opensIn(server));
  }

  /** The one whose server does best of those that can be asked now. */
  bestOpen<R extends Candidate>(replicas: readonly R[]): R | undefined {
    const open = replicas.filter(({ server }) => this.#gates.isOpen(server));
    return least(open, ({ server }) => this.#health.cost(server));
  }

  /** Whether one of the others can be asked sooner than this one. */
  hasSooner(replica: Candidate, replicas: readonly Candidate[]): boolean {
    const own = this.#opensIn(replica.server);
    return replicas.some(({ id, server }) => id !== replica.id && this.#opensIn(server) < own);
  }

  /** What keeps a chunk from being downloaded from any of these now. */
  whyItWaits(replicas: readonly Candidate[], last: XftpError | undefined): XftpError | undefined {
    const failures = replicas.flatMap(({ server }) => {
      const { reason } = this.#gates.status(server);
      return reason === undefined ? [] : [[server, reason] as const];
    });
    return severalFailures(new Map(failures), last);
  }

  /** The relay does not have what it should: its replica is given up for this. */
  gaveUp(server: string, reason: XftpError): void {
    // The last one comes last.
    this.#said.delete(server);
    this.#said.set(server, reason);
  }

  /** Why a chunk cannot be downloaded, when all relays of these replicas, the bad ones, are out of the question. */
  noneLeft(chunk: number, replicas: readonly Candidate[]): XftpError {
    const servers = new Set(replicas.map(({ server }) => server));
    const said = new Map([...this.#said].filter(([server]) => servers.has(server)));
    const last = [...said.values()].at(-1);
    if (last === undefined)
      return new XftpError(
        'CHUNK_GONE',
        'No relay has a part of this file any more: it has expired or was deleted.',
      );
    return severalFailures(said, last, noneCouldGive(said.size, chunk));
  }

  /** In ms; who is being tried may stay silent for long. */
  #opensIn(server: string): number {
    const { gate, inMs = 0 } = this.#gates.status(server);
    return gate === 'probing' ? Infinity : inMs;
  }
}

/** The item with the least cost; at random among several. */
function least<T>(items: readonly T[], cost: (item: T) => number): T | undefined {
  const costs = items.map(cost);
  const lowest = Math.min(...costs);
  const cheapest = items.filter((_, index) => costs[index] === lowest);
  return cheapest[randomInt(Math.max(1, cheapest.length))];
}
