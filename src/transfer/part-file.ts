import { randomBytes } from 'node:crypto';
import { unlinkSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

import { fitFileName, XftpError } from '../protocol/index.js';
import { modeProbePath } from './file-mode.js';
import { safeFileName } from './file-name.js';
import { checkRoom, exists, syncFolder } from './folder.js';
import { localFailure } from './local-failure.js';
import { discardPart, placeExact, placeUnique } from './place-file.js';

/** Where a file goes. */
export type Destination =
  /** Into a folder, which must exist, under the name that the sender gave it, made unique. */
  | { readonly folder: string }
  /** To exactly this path, which must not exist. */
  | { readonly path: string };

/** A file on its way to its destination: it grows beside it, in the same folder, under another name. */
export class PartFile {
  readonly #destination: Destination;
  #part: string | undefined;

  constructor(destination: Destination) {
    this.#destination = destination;
  }

  /**
   * Fails early if the destination cannot work.
   *
   * @throws XftpError FILE_EXISTS, SOURCE_MISSING or NO_PERMISSION
   */
  async checkDestination(): Promise<void> {
    if ('path' in this.#destination && (await exists(this.#destination.path)))
      throw new XftpError(
        'FILE_EXISTS',
        `${this.#destination.path} exists already: choose another name or folder.`,
      );
    const folder = this.#folder();
    const stats = await stat(folder).catch((error: unknown) => {
      throw localFailure(error, folder);
    });
    if (!stats.isDirectory()) throw new XftpError('INVALID_ARGUMENT', `${folder} is not a folder.`);
  }

  /**
   * Chooses the path of the part file for a file of the given name and size, which the caller creates.
   *
   * @throws XftpError DISK_FULL when there is no room for `size` bytes
   */
  async choosePath(sentName: string, size: number): Promise<string> {
    const folder = this.#folder();
    await checkRoom(folder, size);
    // Should the name be too long, its end is cut; the random part and the extension stay.
    const random = randomBytes(6).toString('hex');
    this.#part = join(folder, fitFileName(`.${random}.${this.#finalName(sentName)}.part`));
    return this.#part;
  }

  /**
   * Gives the finished part file its final name.
   *
   * @returns the absolute path of the file
   * @throws XftpError FILE_EXISTS
   */
  async place(sentName: string): Promise<string> {
    const part = this.#part;
    if (part === undefined) throw new XftpError('INVALID_ARGUMENT', 'There is no part file to place.');
    const folder = this.#folder();
    let path: string;
    if ('path' in this.#destination) {
      path = resolve(this.#destination.path);
      await placeExact(part, path);
    } else path = await placeUnique(part, folder, safeFileName(sentName));
    this.#part = undefined;
    await syncFolder(folder);
    return path;
  }

  /** Removes the part file if it was not placed. */
  async discard(): Promise<void> {
    if (this.#part !== undefined) await discardPart(this.#part);
    this.#part = undefined;
  }

  /** The same at once, for a process that is about to end. Never throws. */
  readonly discardNow = (): void => {
    if (this.#part === undefined) return;
    for (const own of [this.#part, modeProbePath(this.#part)])
      try {
        unlinkSync(own);
      } catch {
        // It is not there, or nobody is left to hear of it.
      }
  };

  #finalName(sentName: string): string {
    return 'path' in this.#destination ? basename(this.#destination.path) : safeFileName(sentName);
  }

  #folder(): string {
    return resolve('path' in this.#destination ? dirname(this.#destination.path) : this.#destination.folder);
  }
}
