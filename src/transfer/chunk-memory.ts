import { XftpError } from '../protocol/index.js';

/** Most memory kept for later transfers, in bytes: what one busy transfer uses. */
const MAX_KEPT = 32 * 1024 * 1024;

/**
 * Memory for chunks that the cipher threads see too, so that chunks go to them and back without a copy. What one
 * transfer gives back the next one gets: V8 does not count shared memory and would let it pile up between collections.
 */
export class ChunkMemory {
  readonly #free = new Map<number, Uint8Array[]>();
  #kept = 0;

  /** Memory of `size` bytes with any content. */
  take(size: number): Uint8Array {
    const free = this.#free.get(size)?.pop();
    if (free === undefined) return new Uint8Array(new SharedArrayBuffer(size));
    this.#kept -= size;
    return free;
  }

  /** Gives memory back that nobody uses any more. */
  give(buffer: Uint8Array): void {
    const size = buffer.length;
    if (this.#kept + size > MAX_KEPT) return;
    this.#kept += size;
    const free = this.#free.get(size);
    if (free === undefined) this.#free.set(size, [buffer]);
    else free.push(buffer);
  }
}

/**
 * Checks that the cipher threads see the memory too; of other memory they would change a copy.
 *
 * @throws XftpError INVALID_ARGUMENT
 */
export function checkShared({ buffer }: Uint8Array): void {
  if (!(buffer instanceof SharedArrayBuffer))
    throw new XftpError('INVALID_ARGUMENT', 'A chunk must be in memory that threads share.');
}
