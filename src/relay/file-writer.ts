import { constants } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';

import type { BodyWriter } from './body-storage.js';

/** Bodies are ciphertext, but nobody else on the machine needs them. */
const BODY_MODE = 0o600;
/** Buffers of one vectored write: what the systems allow (IOV_MAX). */
const MAX_PIECES = 1024;

/**
 * A body that is written to a file of its own, in large vectored writes without copying. The file is made with the first
 * bytes, so that uploads which never send anything cost nothing.
 */
export class FileWriter implements BodyWriter {
  readonly #path: string;
  readonly #flush: boolean;
  #opened: Promise<FileHandle> | undefined;
  #closed = false;
  #position = 0;

  /** @param path one that no file has; @param flush whether a complete body is forced to the disk */
  constructor(path: string, flush: boolean) {
    this.#path = path;
    this.#flush = flush;
  }

  async write(pieces: readonly Uint8Array[]): Promise<void> {
    const file = await this.#open();
    // A disk that becomes full takes a part at first; only the next write tells why.
    for (let rest = pieces; rest.length > 0;) {
      const { bytesWritten } = await file.writev(rest.slice(0, MAX_PIECES), this.#position);
      if (bytesWritten === 0) throw new Error('The system writes nothing and does not say why.');
      this.#position += bytesWritten;
      rest = behind(rest, bytesWritten);
    }
  }

  async finish(): Promise<void> {
    const file = await this.#open();
    if (this.#flush) await file.datasync();
    this.#closed = true;
    await file.close();
  }

  async abandon(): Promise<void> {
    if (this.#opened === undefined) return;
    try {
      const file = await this.#opened;
      if (!this.#closed) await file.close();
      // Not there any more if it was committed.
      await rm(this.#path, { force: true });
    } catch {
      // Whatever is left is removed at the next start.
    }
  }

  #open(): Promise<FileHandle> {
    return (this.#opened ??= open(
      this.#path,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL,
      BODY_MODE,
    ));
  }
}

/** What is left of pieces behind so many bytes of them. */
function behind(pieces: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let skipped = 0;
  for (const [index, piece] of pieces.entries()) {
    if (skipped + piece.length > bytes) return [piece.subarray(bytes - skipped), ...pieces.slice(index + 1)];
    skipped += piece.length;
  }
  return [];
}
