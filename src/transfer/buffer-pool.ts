import { cancelled, throwIfAborted } from '../transport/index.js';
import type { ChunkMemory } from './chunk-memory.js';

/**
 * Memory for the chunks of one transfer, in bytes: four that are uploaded to a relay, and two whose turn comes next, so
 * that they are encrypted and registered by then. What a long link carries in a round trip is less.
 */
const CHUNK_MEMORY = 24 * 1024 * 1024;
/** Most chunks in memory at once: with small chunks more would only mean more requests at a time. */
const MAX_CHUNKS_IN_MEMORY = 16;

/** How many chunks of at most `largest` bytes a transfer may have in memory at once. */
export function chunksInMemory(largest: number): number {
  return Math.max(1, Math.min(MAX_CHUNKS_IN_MEMORY, Math.floor(CHUNK_MEMORY / largest)));
}

/** A bounded number of equal buffers, handed out in the order of asking. It bounds the memory of a transfer. */
export class BufferPool {
  readonly #memory: ChunkMemory;
  readonly #size: number;
  /** Number of buffers. */
  readonly count: number;
  readonly #free: Uint8Array[] = [];
  readonly #waiting: ((buffer: Uint8Array) => void)[] = [];
  #untaken: number;
  #closed = false;

  /**
   * @param count number of buffers
   * @param size bytes in each
   */
  constructor(memory: ChunkMemory, count: number, size: number) {
    this.#memory = memory;
    this.count = count;
    this.#untaken = count;
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
    if (this.#untaken > 0) {
      this.#untaken -= 1;
      return this.#memory.take(this.#size);
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

  /** Gives a buffer back that nobody uses any more. */
  give(buffer: Uint8Array): void {
    const next = this.#waiting.shift();
    if (next !== undefined) next(buffer);
    else if (this.#closed) this.#memory.give(buffer);
    else this.#free.push(buffer);
  }

  /** Leaves the buffers to other transfers: the free ones now, the others when they are given back. */
  close(): void {
    this.#closed = true;
    for (const buffer of this.#free.splice(0)) this.#memory.give(buffer);
  }
}
