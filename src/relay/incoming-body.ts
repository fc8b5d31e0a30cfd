import { createDigest, type Digest } from '../crypto/index.js';
import type { BodyWriter } from './body-storage.js';
import { BufferPool } from './buffer-pool.js';
import { UPLOAD_QUEUE, UPLOAD_WRITE } from './limits.js';
import type { BodySink, RequestBody } from './request-body.js';

/** Bodies under way are written from here; 8 MiB are kept when there are none. */
const buffers = new BufferPool(UPLOAD_WRITE, 32);

/** A buffer and how much of it is filled. */
interface Filling {
  readonly buffer: Buffer;
  length: number;
}

/**
 * A chunk body on its way to the storage, with back-pressure when that is slower than the client. Pieces are copied
 * together as they come, so that no network buffer lives on; what is full is digested and written in one go. The first
 * buffer is taken with the first byte, so that uploads which never send anything cost nothing.
 */
export class IncomingBody implements BodySink {
  readonly #writer: BodyWriter;
  readonly #body: RequestBody;
  readonly #digest: Digest = createDigest('sha256');
  #filling: Filling | undefined;
  /** Full, in order. */
  #queue: Filling[] = [];
  /** Bytes that are queued or being written. */
  #waiting = 0;
  #writing: Promise<void> | undefined;
  #failure: Error | undefined;

  constructor(writer: BodyWriter, body: RequestBody) {
    this.#writer = writer;
    this.#body = body;
  }

  /** Bytes received so far. */
  length = 0;

  accept(piece: Buffer): boolean {
    this.length += piece.length;
    for (let taken = 0; taken < piece.length;) {
      const filling = (this.#filling ??= { buffer: buffers.take(), length: 0 });
      const copied = piece.copy(filling.buffer, filling.length, taken);
      filling.length += copied;
      taken += copied;
      if (filling.length === filling.buffer.length) this.#complete(filling);
    }
    return this.#waiting < UPLOAD_QUEUE;
  }

  /** SHA-256 of the bytes. Called once, when all are there. */
  digest(): Uint8Array {
    if (this.#filling !== undefined) this.#complete(this.#filling);
    return this.#digest.digest();
  }

  /** Waits until the storage has all, so that the body can be committed. Called after `digest`. */
  async finish(): Promise<void> {
    await this.#writing;
    if (this.#failure !== undefined) throw this.#failure;
    await this.#writer.finish();
  }

  /** Removes what was received unless it was committed; never fails. */
  async discard(): Promise<void> {
    if (this.#filling !== undefined) buffers.give(this.#filling.buffer);
    this.#filling = undefined;
    this.#dropQueue();
    await this.#writing;
    await this.#writer.abandon();
  }

  /** Nothing more goes into this buffer. */
  #complete(filled: Filling): void {
    this.#filling = undefined;
    this.#digest.update(contentOf(filled));
    this.#queue.push(filled);
    this.#waiting += filled.length;
    if (this.#failure === undefined) this.#writing ??= this.#writeQueue();
    else this.#dropQueue(); // read on, to be able to answer
  }

  /** Writes what is queued, and what comes meanwhile. Never rejects: the failure is kept for `finish`. */
  async #writeQueue(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        const filled = this.#queue;
        this.#queue = [];
        try {
          await this.#writer.write(filled.map(contentOf));
        } finally {
          this.#free(filled);
        }
        this.#body.resume();
      }
    } catch (error) {
      this.#failure =
        error instanceof Error ? error : new Error('The body could not be written.', { cause: error });
      this.#dropQueue();
      this.#body.resume();
    } finally {
      this.#writing = undefined;
    }
  }

  #dropQueue(): void {
    this.#free(this.#queue);
    this.#queue = [];
  }

  #free(written: readonly Filling[]): void {
    for (const { buffer, length } of written) {
      this.#waiting -= length;
      buffers.give(buffer);
    }
  }
}

function contentOf({ buffer, length }: Filling): Buffer {
  return buffer.subarray(0, length);
}
