import { cancelled, throwIfAborted } from '../transport/index.js';

/** Memory for the chunks of one transfer, in bytes: enough for four uploads per relay and what is being encrypted. */
const CHUNK_MEMORY = 20 * 1024 * 1024;
/** Most chunks in memory at once: with small chunks more would only mean more requests at a time. */
const MAX_CHUNKS_IN_MEMORY = 16;

/** How many chunks of at most `largest` bytes a transfer may have in memory at once. */
export function chunksInMemory(largest: number): number {
  return Math.max(1, Math.min(MAX_CHUNKS_IN_MEMORY, Math.floor(CHUNK_MEMORY / largest)));
}

/** A bounded number of equal buffers, handed out in the order of asking. It bounds the memory of a transfer. */
export class BufferPool {
  readonly #size: number;
  readonly #free: Uint8Array[] = [];
  readonly #waiting: ((buffer: Uint8Array) => void)[] = [];
  #unmade: number;

  /**
   * @param count number of buffers
   * @param size bytes in each
   */
  constructor(count: number, size: number) {
    this.#unmade = count;
    this.#size = size;
  }

  /**
   * A buffer, as soon as there is one.
   *
   * @throws XftpError CANCELLED
   */
  async take(signal: AbortSignal): Promise<Uint8Array> {
    throwIfAborted(signal);
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#unmade > 0) {
      this.#unmade -= 1;
      return this.replacement();
    }
    return new Promise((resolve, reject) => {
      const onBuffer = (buffer: Uint8Array): void => {
        signal.removeEventListener('abort', onAbort);
        resolve(buffer);
      };
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(onBuffer), 1);
        reject(cancelled());
      };
      this.#waiting.push(onBuffer);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Gives a buffer back, or any other view of its memory. */
  give(buffer: Uint8Array): void {
    const whole = new Uint8Array(buffer.buffer);
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(whole);
    else next(whole);
  }

  /** A new buffer in place of one that was lost. */
  replacement(): Uint8Array {
    return new Uint8Array(this.#size);
  }
}
