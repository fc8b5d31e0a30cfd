import type { FileHandle } from 'node:fs/promises';

import { createDigest, type Digest } from '../crypto/index.js';
import type { ChunkStorage, IncomingFile } from './chunk-storage.js';
import { MIN_PIECE_COST, UPLOAD_QUEUE, UPLOAD_WRITE } from './limits.js';
import type { BodySink, RequestBody } from './request-body.js';

/** Buffers of one vectored write: what the systems allow (IOV_MAX). */
const MAX_PIECES_PER_WRITE = 1024;

/**
 * A chunk body on its way to the disk: digested as it comes, written in large vectored writes without copying, with
 * back-pressure when the disk is slower than the client. The file is made with the first byte, so that uploads which
 * never send anything cost nothing.
 */
export class IncomingBody implements BodySink {
  readonly #storage: ChunkStorage;
  readonly #body: RequestBody;
  readonly #digest: Digest = createDigest('sha256');
  #incoming: Promise<IncomingFile> | undefined;
  #queue: Buffer[] = [];
  #queueCost = 0;
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
    this.#digest.update(piece);
    if (this.#failure !== undefined) return true; // read on, to be able to answer
    this.#queue.push(ownMemory(piece));
    this.#queueCost += Math.max(piece.length, MIN_PIECE_COST);
    if (this.#queueCost >= UPLOAD_WRITE) this.#writing ??= this.#writeQueue(UPLOAD_WRITE);
    return this.#queueCost < UPLOAD_QUEUE;
  }

  /** SHA-256 of the bytes. Called once. */
  digest(): Uint8Array {
    return this.#digest.digest();
  }

  /** Waits until all is on the disk and returns the path of the file, which is closed. */
  async finish(): Promise<string> {
    await this.#writing;
    await this.#writeQueue(1);
    this.#incoming ??= this.#storage.createIncoming();
    if (this.#failure !== undefined) throw this.#failure;
    const { file, path } = await this.#incoming;
    await this.#storage.close(file);
    this.#finished = true;
    return path;
  }

  /** Removes the file unless it was given another name; never fails. */
  async discard(): Promise<void> {
    this.#queue = [];
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

  /** Writes while at least `least` bytes are queued. Never rejects: the failure is kept for `finish`. */
  async #writeQueue(least: number): Promise<void> {
    try {
      this.#incoming ??= this.#storage.createIncoming();
      const { file } = await this.#incoming;
      while (this.#queueCost >= least) {
        const pieces = this.#queue.splice(0, MAX_PIECES_PER_WRITE);
        if (this.#queue.length === 0) this.#queueCost = 0;
        else for (const piece of pieces) this.#queueCost -= Math.max(piece.length, MIN_PIECE_COST);
        this.#position = await writeAll(file, pieces, this.#position);
        this.#body.resume();
      }
    } catch (error) {
      this.#failure =
        error instanceof Error ? error : new Error('The body could not be written.', { cause: error });
      this.#queue = [];
      this.#queueCost = 0;
      this.#body.resume();
    } finally {
      this.#writing = undefined;
    }
  }
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

/** A piece that is a small part of a network buffer is copied, so that it does not keep the whole of it alive. */
function ownMemory(piece: Buffer): Buffer {
  if (piece.length * 2 >= piece.buffer.byteLength) return piece;
  const copy = Buffer.allocUnsafeSlow(piece.length);
  piece.copy(copy);
  return copy;
}
