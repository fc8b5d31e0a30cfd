import { closeSync, constants, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs';

import { errorCode } from '../system/index.js';
import { changeMode, PRIVATE_FILE_MODE } from './file-mode.js';

/** Bytes collected for one write: large enough that a disk works in long runs, a small part of a transfer's memory. */
const STAGING_SIZE = 2 * 1024 * 1024;
/** What direct writes must be aligned to, in bytes: the largest block size in use, and a page. */
const BLOCK = 4096;
/** Writes past the file cache, where the system has such writes. */
const DIRECT = (constants as { readonly O_DIRECT?: number }).O_DIRECT ?? 0;
/** How file systems without direct writes refuse them. */
const UNSUPPORTED: ReadonlySet<string> = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP']);
const NEW_FILE = constants.O_CREAT | constants.O_EXCL | constants.O_RDWR;

/**
 * A new part file, written from its start to its end.
 *
 * The content goes past the system's file cache where that is possible: copying a large file into cold cache memory
 * costs more processor time than decrypting it, and the file is not read again by this program. Direct writes come in
 * whole blocks from aligned memory; what is behind the last whole block is written with padding that is cut off.
 */
export class PartWriter {
  readonly #path: string;
  /** V8 gives buffers that can shrink whole pages, so this one is aligned; if it were not, writing would fall back. */
  readonly #memory = new ArrayBuffer(STAGING_SIZE, { maxByteLength: STAGING_SIZE });
  readonly #staging = new Uint8Array(this.#memory);
  #file: number;
  #direct: boolean;
  /** Bytes in the staging memory. */
  #staged = 0;
  /** Where the staging memory goes. */
  #position = 0;

  /** Creates the file, which must not exist. Throws the system's error. */
  constructor(path: string) {
    this.#path = path;
    const direct = DIRECT === 0 ? undefined : openDirect(path);
    this.#direct = direct !== undefined;
    this.#file = direct ?? openSync(path, NEW_FILE, PRIVATE_FILE_MODE);
  }

  /**
   * Writes the next `length` bytes, which `fill` puts where it is told: into `target` those from `offset` on.
   * Throws the system's error.
   */
  write(length: number, fill: (target: Uint8Array, offset: number) => void): void {
    for (let done = 0; done < length;) {
      const target = this.#staging.subarray(this.#staged, this.#staged + length - done);
      fill(target, done);
      this.#staged += target.length;
      done += target.length;
      if (this.#staged === STAGING_SIZE) this.#writeStaged(STAGING_SIZE);
    }
  }

  /** Writes what is left, gives the file its mode and flushes it to disk. Throws the system's error. */
  finish(mode: number): void {
    const size = this.#position + this.#staged;
    const padded = Math.ceil(this.#staged / BLOCK) * BLOCK;
    this.#staging.fill(0, this.#staged, padded);
    if (padded > 0) this.#writeStaged(padded);
    ftruncateSync(this.#file, size);
    changeMode(this.#file, mode);
    fsyncSync(this.#file);
  }

  /** Closes the file and frees the memory. */
  close(): void {
    closeSync(this.#file);
    this.#memory.resize(0);
  }

  #writeStaged(length: number): void {
    let done = 0;
    while (done < length) {
      try {
        done += writeSync(this.#file, this.#staging, done, length - done, this.#position + done);
      } catch (error) {
        if (!this.#direct || !isUnsupported(error)) throw error;
        this.#leaveDirect();
      }
    }
    this.#position += length;
    this.#staged = 0;
  }

  /** Some file systems open a file for direct writes and then refuse them. */
  #leaveDirect(): void {
    const file = openSync(this.#path, 'r+');
    closeSync(this.#file);
    this.#file = file;
    this.#direct = false;
  }
}

/** Undefined where the file system knows no direct writes. */
function openDirect(path: string): number | undefined {
  try {
    return openSync(path, NEW_FILE | DIRECT, PRIVATE_FILE_MODE);
  } catch (error) {
    if (isUnsupported(error)) return undefined;
    throw error;
  }
}

function isUnsupported(error: unknown): boolean {
  return UNSUPPORTED.has(errorCode(error) ?? '');
}
