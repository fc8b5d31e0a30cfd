/** Counts the bodies that are being received, in all and for each connection. */
export class UploadSlots {
  readonly #total: number;
  readonly #perConnection: number;
  readonly #counts = new WeakMap<object, number>();
  #taken = 0;

  constructor(total: number, perConnection: number) {
    this.#total = total;
    this.#perConnection = perConnection;
  }

  /** Takes a slot and gives the function that frees it; undefined when there is none. */
  take(connection: object): (() => void) | undefined {
    const own = this.#counts.get(connection) ?? 0;
    if (this.#taken >= this.#total || own >= this.#perConnection) return undefined;
    this.#taken += 1;
    this.#counts.set(connection, own + 1);
    return () => {
      this.#taken -= 1;
      this.#counts.set(connection, (this.#counts.get(connection) ?? 1) - 1);
    };
  }
}
