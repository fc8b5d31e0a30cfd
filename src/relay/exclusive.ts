/** Runs tasks about the same thing one after the other, in the order they came. */
export class Exclusive {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs `task` when all earlier tasks of the same `key` have ended, and gives its result. */
  async run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const previous = this.#last.get(key);
    const current = previous === undefined ? task() : previous.then(task, task);
    this.#last.set(key, current);
    try {
      return await current;
    } finally {
      if (this.#last.get(key) === current) this.#last.delete(key);
    }
  }
}
