import { randomInt } from 'node:crypto';

import { isXftpError, type ServerAddress, sameServer, XftpError } from '../protocol/index.js';

/**
 * Picks relays for the chunks of one file: at random for each chunk, so that no relay sees more of a file than it must,
 * and another one when a relay does not do its part. A relay that failed is left out for the rest of the file.
 */
export class ServerChoice {
  readonly #onWarning: ((message: string) => void) | undefined;
  #servers: readonly ServerAddress[];
  /** Drawn for the first chunk. */
  #first: ServerAddress | undefined;

  /** @param servers at least one */
  constructor(servers: readonly ServerAddress[], onWarning?: (message: string) => void) {
    if (servers.length === 0)
      throw new XftpError('INVALID_ARGUMENT', 'Name at least one relay to send through.');
    this.#servers = servers;
    this.#onWarning = onWarning;
  }

  /** The relay of the chunk that comes first, before it comes. */
  get first(): ServerAddress | undefined {
    return (this.#first ??= this.#draw());
  }

  /**
   * Runs `work` with a random server, then with another one if that server failed.
   *
   * @throws the failure of the last server, or at once a failure that is not the server's
   */
  async withServer<T>(work: (server: ServerAddress) => Promise<T>): Promise<T> {
    let failure: XftpError | undefined;
    for (;;) {
      const server = this.#first ?? this.#draw();
      this.#first = undefined;
      if (server === undefined)
        throw failure ?? new XftpError('CONNECT_FAILED', 'None of the relays can be used.');
      try {
        return await work(server);
      } catch (error) {
        if (!isServersFault(error)) throw error;
        failure = error;
        this.#exclude(server, error);
      }
    }
  }

  #draw(): ServerAddress | undefined {
    return this.#servers[randomInt(Math.max(1, this.#servers.length))];
  }

  #exclude(server: ServerAddress, reason: XftpError): void {
    const others = this.#servers.filter((other) => !sameServer(other, server));
    if (others.length > 0 && others.length < this.#servers.length)
      this.#onWarning?.(`${reason.message} The rest of the file is sent through other relays.`);
    this.#servers = others;
  }
}

function isServersFault(error: unknown): error is XftpError {
  return isXftpError(error) && ['temporary', 'identity', 'refused', 'gone', 'corrupt'].includes(error.kind);
}
