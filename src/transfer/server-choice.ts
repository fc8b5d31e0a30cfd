import { randomInt } from 'node:crypto';

import { isXftpError, type ServerAddress, sameServer, XftpError } from '../protocol/index.js';

/**
 * Picks relays for the chunks of one file: at random for each chunk, so that no relay sees more of a file than it must,
 * and another one when a relay does not do its part. A relay that failed is left out for the rest of the file.
 */
export class ServerChoice {
  readonly #onWarning: ((message: string) => void) | undefined;
  readonly #needed: number;
  #servers: readonly ServerAddress[];
  #lastFailure: XftpError | undefined;
  /** Drawn for the first chunk. */
  #first: ServerAddress | undefined;

  /**
   * @param needed on how many relays each chunk must be
   * @throws XftpError INVALID_ARGUMENT for fewer servers
   */
  constructor(servers: readonly ServerAddress[], onWarning?: (message: string) => void, needed = 1) {
    if (servers.length === 0)
      throw new XftpError('INVALID_ARGUMENT', 'Name at least one relay to send through.');
    this.#servers = servers.filter(
      (server, index) => servers.findIndex((other) => sameServer(other, server)) === index,
    );
    if (this.#servers.length < needed)
      throw new XftpError(
        'INVALID_ARGUMENT',
        `The file must be on ${String(needed)} relays, and only ${String(this.#servers.length)} can be chosen from: name more, or ask for fewer replicas.`,
      );
    this.#onWarning = onWarning;
    this.#needed = needed;
  }

  /** The relay of the chunk that comes first, or of one of its replicas, before it comes. */
  get first(): ServerAddress | undefined {
    return (this.#first ??= draw(this.#servers));
  }

  /**
   * Runs `work` with a random server, then with another one if that server failed.
   *
   * @param taken servers that other replicas of the chunk have; those that are tried are added
   * @throws the failure of the last server, or at once a failure that is not the server's
   */
  async withServer<T>(
    work: (server: ServerAddress) => Promise<T>,
    taken = new Set<ServerAddress>(),
  ): Promise<T> {
    let failure: XftpError | undefined;
    for (;;) {
      const server = this.#first ?? draw(this.#servers.filter((other) => !taken.has(other)));
      this.#first = undefined;
      if (server === undefined)
        throw failure ?? this.#lastFailure ?? new XftpError('CONNECT_FAILED', 'There is no other relay.');
      taken.add(server);
      try {
        return await work(server);
      } catch (error) {
        if (!isServersFault(error)) throw error;
        failure = error;
        this.#exclude(server, error);
      }
    }
  }

  #exclude(server: ServerAddress, reason: XftpError): void {
    const others = this.#servers.filter((other) => other !== server);
    this.#lastFailure = reason;
    if (others.length >= this.#needed && others.length < this.#servers.length)
      this.#onWarning?.(`${reason.message} The rest of the file is sent through other relays.`);
    this.#servers = others;
  }
}

function draw(servers: readonly ServerAddress[]): ServerAddress | undefined {
  return servers[randomInt(Math.max(1, servers.length))];
}

/** Whether another server may do better. */
export function isServersFault(error: unknown): error is XftpError {
  return isXftpError(error) && ['temporary', 'identity', 'refused', 'gone', 'corrupt'].includes(error.kind);
}
