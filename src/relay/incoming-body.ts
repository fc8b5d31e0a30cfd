import type { FileHandle } from 'node:fs/promises';

import { createDigest, type Digest } from '../crypto/index.js';
import { BufferPool } from './buffer-pool.js';
import type { ChunkStorage, IncomingFile } from './chunk-storage.js';
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
 * A chunk body on its way to the disk, with back-pressure when the disk is slower than the client. Pieces are copied
 * together as they come, so that no network buffer lives on; what is full is digested and written in one go. The file
 * is made with the first write and the first buffer taken with the first byte, so that uploads which never send
 * anything cost nothing.
 */
export class IncomingBody implements BodySink {
  readonly #storage: ChunkStorage;
  readonly #body: RequestBody;
  readonly #digest: Digest = createDigest('sha256');
  #incoming: Promise<IncomingFile> | undefined;
  #filling: Filling | undefined;
  /** Full, in order. */
  #queue: Filling[] = [];
  /** Bytes that are queued or being written. */
  #waiting = 0;
  #position = 0;
  #writing: Promise<void> | undefined;
  #failure: Error | undefined;
  #finished = false;

  constructor(storage: ChunkStorage, body: RequestBody) {
    this.#storage = storage;
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

  /** Waits until all is on the disk and returns the path of the file, which is closed. Called after `digest`. */
  async finish(): Promise<string> {
    await this.#writing;
    this.#incoming ??= this.#storage.createIncoming();
    const { file, path } = await this.#incoming;
    if (this.#failure !== undefined) throw this.#failure;
    await this.#storage.close(file);
    this.#finished = true;
    return path;
  }

  /** Removes the file unless it was given another name; never fails. */
  async discard(): Promise<void> {
    if (this.#filling !== undefined) buffers.give(this.#filling.buffer);
    this.#filling = undefined;
    this.#dropQueue();
    await this.#writing;
    if (this.#incoming === undefined) return;
    try {
      const { file, path } = await this.#incoming;
      if (!this.#finished) await file.close();
      await this.#storage.remove(path);
    } catch {
      // Whatever is left is removed at the next start.
    }
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
      this.#incoming ??= this.#storage.createIncoming();
      const { file } = await this.#incoming;
      while (this.#queue.length > 0) {
        const filled = this.#queue;
        this.#queue = [];
        try {
          this.#position = await writeAll(file, filled.map(contentOf), this.#position);
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

/**
 * Writes all pieces and gives the position behind them. A disk that becomes full takes a part at first; only the next
 * write tells why.
 */
async function writeAll(file: FileHandle, pieces: readonly Buffer[], start: number): Promise<number> {
  let position = start;
  for (let rest = pieces; rest.length > 0;) {
    const { bytesWritten } = await file.writev(rest, position);
    if (bytesWritten === 0) throw new Error('The system writes nothing and does not say why.');
    position += bytesWritten;
    rest = behind(rest, bytesWritten);
  }
  return position;
}

/** What is left of pieces behind so many bytes of them. */
function behind(pieces: readonly Buffer[], bytes: number): readonly Buffer[] {
  let skipped = 0;
  for (const [index, piece] of pieces.entries()) {
    if (skipped + piece.length > bytes) return [piece.subarray(bytes - skipped), ...pieces.slice(index + 1)];
    skipped += piece.length;
  }
  return [];
}
