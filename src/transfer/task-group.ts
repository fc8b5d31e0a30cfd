import { setMaxListeners } from 'node:events';

/** Tasks that belong together: the first one that fails stops all others. */
export class TaskGroup {
  readonly #abort = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  /** Aborts when a task fails, and with the signal given to the group. */
  readonly signal: AbortSignal;
  #failed = false;
  #failure: unknown;

  constructor(signal?: AbortSignal) {
    this.signal = signal === undefined ? this.#abort.signal : AbortSignal.any([signal, this.#abort.signal]);
    // Every chunk under way listens: many listeners are no leak here.
    setMaxListeners(0, this.signal);
  }

  /** Starts a task. Its failure is reported by `run`, so the returned promise may be ignored. */
  add<T>(task: () => Promise<T>): Promise<T> {
    const promise = task();
    this.#running.add(promise);
    promise
      .catch((error: unknown) => {
        this.#fail(error);
      })
      .finally(() => this.#running.delete(promise));
    return promise;
  }

  /**
   * Runs `main`, which may add tasks, and waits for it and all of them.
   *
   * @throws the failure that came first, when everything has ended
   */
  async run<T>(main: () => Promise<T>): Promise<T> {
    const result = this.add(main);
    // Tasks may add tasks, so there may be more when these have ended.
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
    if (this.#failed) throw this.#failure;
    return result;
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#failure = error;
    this.#abort.abort();
  }
}
