/** What was begun, to be ended in reverse order: all of it, also when one of the ends fails. */
export class Stops {
  readonly #stops: (() => void | Promise<void>)[] = [];

  /** Adds what ends before all that is there already. */
  add(stop: () => void | Promise<void>): void {
    this.#stops.push(stop);
  }

  /**
   * Ends everything that is there.
   *
   * @throws the last failure, when all ends were tried: what was begun first matters most
   */
  async run(): Promise<void> {
    const failures: unknown[] = [];
    for (const stop of this.#stops.splice(0).reverse())
      try {
        await stop();
      } catch (error) {
        failures.push(error);
      }
    if (failures.length > 0) throw failures.at(-1);
  }
}
