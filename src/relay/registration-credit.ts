/** Clients that are remembered at once: some 20 MiB of memory. */
const MAX_CLIENTS = 100_000;

/** What a client may still register, as of a time. */
interface Credit {
  readonly left: number;
  /** In ms. */
  readonly asOf: number;
}

/**
 * Bounds how many chunks a client registers without uploading them: each is a record that stays until it expires. A
 * registration takes one from the client's credit and an upload gives it back; what is never uploaded comes back as it
 * expires, spread over the life of a chunk. Which chunks these were is not remembered.
 */
export class RegistrationCredit {
  readonly #most: number;
  readonly #returnMs: number;
  readonly #now: () => number;
  /** Those that have less than all, the one that changed longest ago first. */
  readonly #credits = new Map<string, Credit>();

  /**
   * @param most registrations without an upload
   * @param returnMs how long until a client without any has all again
   */
  constructor(most: number, returnMs: number, now: () => number) {
    this.#most = most;
    this.#returnMs = returnMs;
    this.#now = now;
  }

  /** Takes one registration; false when the client has none left. */
  take(client: string | undefined): boolean {
    if (client === undefined || this.#most === Infinity) return true;
    const left = this.#left(client);
    if (left < 1) return false;
    this.#set(client, left - 1);
    return true;
  }

  /** Gives one back. */
  giveBack(client: string | undefined): void {
    if (client !== undefined && this.#credits.has(client)) this.#set(client, this.#left(client) + 1);
  }

  #left(client: string): number {
    const credit = this.#credits.get(client);
    if (credit === undefined) return this.#most;
    // A clock that was put back must not take anything away.
    const passed = Math.max(0, this.#now() - credit.asOf);
    return Math.min(this.#most, credit.left + (passed / this.#returnMs) * this.#most);
  }

  #set(client: string, left: number): void {
    this.#credits.delete(client);
    if (left >= this.#most) return;
    if (this.#credits.size >= MAX_CLIENTS) {
      const [oldest] = this.#credits.keys();
      if (oldest !== undefined) this.#credits.delete(oldest);
    }
    this.#credits.set(client, { left, asOf: this.#now() });
  }
}
