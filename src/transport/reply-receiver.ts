import { BLOCK_SIZE } from '../protocol/index.js';

/** What came back. */
export interface Reply {
  /** The response block: 16384 bytes, or fewer if the relay sent fewer. */
  readonly block: Uint8Array;
  /** Number of bytes received into `into`. */
  readonly received: number;
}

/** Takes a response apart: its block, then the bytes behind it into a buffer of known size. */
export class ReplyReceiver {
  readonly #block = new Uint8Array(BLOCK_SIZE);
  #into: Buffer | undefined;
  #discarding = false;
  #blockLength = 0;
  /** Bytes stored behind the block so far. */
  received = 0;

  /** @param into where the bytes behind the block go; none are wanted without it */
  constructor(into: Uint8Array | undefined) {
    this.#into = into === undefined ? undefined : Buffer.from(into.buffer, into.byteOffset, into.byteLength);
  }

  /** Whether nothing has come yet. */
  get isEmpty(): boolean {
    return this.#blockLength === 0;
  }

  /** Stores the bytes; false if there are more than fit. After `discard` they are thrown away. */
  receive(data: Uint8Array): boolean {
    if (this.#discarding) return true;
    const head = data.subarray(0, BLOCK_SIZE - this.#blockLength);
    this.#block.set(head, this.#blockLength);
    this.#blockLength += head.length;
    const rest = data.subarray(head.length);
    if (rest.length === 0) return true;
    if (this.#into === undefined || rest.length > this.#into.length - this.received) return false;
    // Into memory that threads share, `set` would copy word by word.
    this.#into.fill(rest, this.received, this.received + rest.length);
    this.received += rest.length;
    return true;
  }

  /** The buffers belong to the caller again: nothing more is written into them. */
  discard(): void {
    this.#discarding = true;
    this.#into = undefined;
  }

  /** What has come. */
  reply(): Reply {
    return { block: this.#block.subarray(0, this.#blockLength), received: this.received };
  }
}
