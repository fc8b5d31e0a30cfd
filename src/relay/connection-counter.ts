/** Bounds how many connections are open at once, in all and for each client. */
export class ConnectionCounter {
  readonly #total: number;
  readonly #perClient: number;
  readonly #counts = new Map<string, number>();
  #open = 0;

  constructor(total: number, perClient: number) {
    this.#total = total;
    this.#perClient = perClient;
  }

  /**
   * Counts a new connection and gives the function that is to be called once at its end; undefined when there are
   * too many.
   *
   * @param client undefined: counts in all only
   */
  enter(client: string | undefined): (() => void) | undefined {
    const own = client === undefined ? 0 : (this.#counts.get(client) ?? 0);
    if (this.#open >= this.#total || own >= this.#perClient) return undefined;
    this.#open += 1;
    if (client !== undefined) this.#counts.set(client, own + 1);
    return () => {
      this.#open -= 1;
      if (client !== undefined) this.#leave(client);
    };
  }

  #leave(client: string): void {
    const left = (this.#counts.get(client) ?? 1) - 1;
    if (left > 0) this.#counts.set(client, left);
    else this.#counts.delete(client);
  }
}
