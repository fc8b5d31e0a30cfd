/** Buffers of one size that are used again: fresh large ones cost the kernel a page fault every 4 KiB. */
export class BufferPool {
  readonly #size: number;
  readonly #kept: number;
  readonly #free: Buffer[] = [];

  /** @param size bytes of each buffer; @param kept most buffers that are kept while nobody needs them */
  constructor(size: number, kept: number) {
    this.#size = size;
    this.#kept = kept;
  }

  /** A buffer with any content. */
  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#size);
  }

  /** Gives a buffer back, which nobody may use any more. */
  give(buffer: Buffer): void {
    if (this.#free.length < this.#kept) this.#free.push(buffer);
  }
}
