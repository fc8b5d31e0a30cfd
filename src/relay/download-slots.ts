/** The downloads of one connection. */
interface Queue {
  running: number;
  /** What begins each download that waits, in the order they came. */
  readonly waiting: Set<() => void>;
}

/**
 * Bounds how many chunks are sent at once, in all and on each connection. Downloads beyond that wait; connections take
 * turns, so that one with many does not hold up one with few.
 */
export class DownloadSlots {
  readonly #total: number;
  readonly #perConnection: number;
  readonly #queues = new WeakMap<object, Queue>();
  /** Connections that only the whole relay's bound holds up; the one whose turn is next comes first. */
  readonly #ready = new Set<Queue>();
  #taken = 0;

  constructor(total: number, perConnection: number) {
    this.#total = total;
    this.#perConnection = perConnection;
  }

  /** Whether a connection waits for the downloads of others. */
  get crowded(): boolean {
    return this.#ready.size > 0;
  }

  /**
   * Waits for a slot and gives the function that frees it, of which only the first call counts; undefined when
   * `signal` aborts before.
   */
  take(connection: object, { signal }: { readonly signal: AbortSignal }): Promise<(() => void) | undefined> {
    if (signal.aborted) return Promise.resolve(undefined);
    const queue = this.#queues.get(connection) ?? { running: 0, waiting: new Set() };
    this.#queues.set(connection, queue);
    return new Promise((resolve) => {
      const begin = (): void => {
        signal.removeEventListener('abort', leave);
        resolve(this.#begin(queue));
      };
      const leave = (): void => {
        queue.waiting.delete(begin);
        this.#sort(queue);
        resolve(undefined);
      };
      signal.addEventListener('abort', leave, { once: true });
      queue.waiting.add(begin);
      this.#sort(queue);
      this.#fill();
    });
  }

  #begin(queue: Queue): () => void {
    this.#taken += 1;
    queue.running += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#taken -= 1;
      queue.running -= 1;
      this.#sort(queue);
      this.#fill();
    };
  }

  /** Notes whether a connection could use a slot. One that could already keeps its turn. */
  #sort(queue: Queue): void {
    if (queue.waiting.size > 0 && queue.running < this.#perConnection) this.#ready.add(queue);
    else this.#ready.delete(queue);
  }

  #fill(): void {
    while (this.#taken < this.#total) {
      const [queue] = this.#ready;
      const [begin] = queue?.waiting ?? [];
      if (queue === undefined || begin === undefined) return;
      queue.waiting.delete(begin);
      begin();
      // To the end of the line, if it has more.
      this.#ready.delete(queue);
      this.#sort(queue);
    }
  }
}
