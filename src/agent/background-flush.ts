import { type FileHandle, open } from 'node:fs/promises';

/** Flushes a file that somebody else writes, while everything else goes on: a disk may take its time. */
export class BackgroundFlush {
  readonly #path: string;
  #file: FileHandle | undefined;
  /** Never rejects. */
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Returns when everything that was written to the file before the call is on disk. Those who ask while a flush is
   * under way share the next one. Throws the system's error.
   */
  flush(): Promise<void> {
    this.#next ??= this.#flushNext();
    return this.#next;
  }

  /** Ends when the flushes that were asked for have ended. Never throws. */
  async close(): Promise<void> {
    await this.#next?.catch(() => undefined);
    await this.#running;
    await this.#file?.close().catch(() => undefined);
    this.#file = undefined;
  }

  async #flushNext(): Promise<void> {
    // The one under way may have begun before the last write.
    await this.#running;
    this.#next = undefined;
    const flush = this.#sync();
    this.#running = flush.catch(() => undefined);
    await flush;
  }

  async #sync(): Promise<void> {
    this.#file ??= await open(this.#path, 'r+');
    await this.#file.datasync();
  }
}
