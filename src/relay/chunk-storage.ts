import { constants } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join, parse } from 'node:path';

import { encodeBase64Url } from '../protocol/index.js';
import { randomBytes } from '../crypto/index.js';
import { errorCode, makeFolders } from '../system/index.js';
import { describeFileError } from './file-errors.js';
import { flushFolder } from './flush-folder.js';
import type { FlushSchedule } from './flush-schedule.js';
import { GroupCommit } from './group-commit.js';
import { throwIfStopped } from './stopped-start.js';

/** Bodies that are being received. The dot keeps them apart from chunk names, which have none. */
const INCOMING_PREFIX = '.incoming-';
/** Random bytes of their names. */
const INCOMING_LENGTH = 18;
/** Their whole names, so that no other file is taken for one. */
const INCOMING_NAME = /^\.incoming-[\w-]{24}$/;
/** Bodies are ciphertext, but nobody else on the machine needs them. */
const BODY_MODE = 0o600;

/** A body that is being received. */
export interface IncomingFile {
  readonly path: string;
  readonly file: FileHandle;
}

/** The folder of chunk bodies: one file a chunk, named by the base64url of its sender ID (section 5.3). */
export class ChunkStorage {
  readonly #folder: string;
  readonly #flushes: FlushSchedule;
  #unfinished = 0;
  /** A rename is durable only when the folder is flushed; uploads that end together share it. */
  readonly #flushFolder: GroupCommit;

  private constructor(folder: string, flushes: FlushSchedule) {
    this.#folder = folder;
    this.#flushes = flushes;
    this.#flushFolder = new GroupCommit(() => flushFolder(folder));
  }

  /**
   * Opens the folder, makes it if it is missing, checks that it can be written, and removes what uploads left behind
   * when the relay was killed.
   *
   * @throws XftpError NO_PERMISSION, LOCAL_IO, or CANCELLED
   */
  static async open(folder: string, flushes: FlushSchedule, signal?: AbortSignal): Promise<ChunkStorage> {
    const storage = new ChunkStorage(folder, flushes);
    try {
      await makeFolders(folder);
      for (const name of await storage.fileNames()) {
        if (!isIncomingName(name)) continue;
        throwIfStopped(signal);
        await storage.removeFile(name);
        storage.#unfinished += 1;
      }
      const { path, file } = await storage.createIncoming();
      await file.close();
      await rm(path);
    } catch (error) {
      throw describeFileError(error, `The folder of chunks ${folder} cannot be used`);
    }
    return storage;
  }

  /** Unfinished uploads that were found and removed when the folder was opened. */
  get unfinished(): number {
    return this.#unfinished;
  }

  /** Names of the files in the folder; links and folders are none. */
  async fileNames(): Promise<readonly string[]> {
    const entries = await readdir(this.#folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  }

  /** Removes a file of the folder, if it is there. */
  async removeFile(name: string): Promise<void> {
    await this.remove(join(this.#folder, name));
  }

  /** A new empty file for a body, under a name that nobody else uses. */
  async createIncoming(): Promise<IncomingFile> {
    const path = join(this.#folder, INCOMING_PREFIX + encodeBase64Url(randomBytes(INCOMING_LENGTH)));
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
    return { path, file: await open(path, flags, BODY_MODE) };
  }

  /** Where the body of a chunk lies once it is complete. */
  pathOf(senderId: Uint8Array): string {
    return join(this.#folder, encodeBase64Url(senderId));
  }

  /** Closes a complete body, forced to the disk before that if the relay's clients wait for it. */
  async close(file: FileHandle): Promise<void> {
    if (this.#flushes.atOnce) await file.datasync();
    await file.close();
  }

  /** Gives a complete, closed body its final name; resolves when that will survive a crash. */
  async commit(incomingPath: string, senderId: Uint8Array): Promise<string> {
    const path = this.pathOf(senderId);
    await rename(incomingPath, path);
    try {
      if (!this.#flushes.atOnce) await this.#flushes.flush(path, () => flushBody(path));
      await this.#flushes.flush('the folder of chunks', () => this.#flushFolder.request());
    } catch (error) {
      await this.remove(path);
      throw error;
    }
    return path;
  }

  /** Opens a stored body for reading; undefined if it is missing or has another size than its record says. */
  async openBody(path: string, size: number): Promise<FileHandle | undefined> {
    let file: FileHandle;
    try {
      file = await open(path, 'r');
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
    try {
      const status = await file.stat();
      if (status.isFile() && status.size === size) return file;
    } catch (error) {
      await file.close();
      throw error;
    }
    await file.close();
    return undefined;
  }

  /** Removes a body, and tells whether it was there. */
  async remove(path: string): Promise<boolean> {
    try {
      await rm(path);
      return true;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  }

  /** Those of some bodies that are there. */
  async *present<T extends { readonly path: string }>(bodies: Iterable<T>): AsyncGenerator<T> {
    const names = new Set(await this.fileNames());
    for (const body of bodies) {
      const { dir, base } = parse(body.path);
      if (dir === this.#folder ? names.has(base) : await exists(body.path)) yield body;
    }
  }
}

/** A body that was deleted meanwhile needs no flush. */
async function flushBody(path: string): Promise<void> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  try {
    await file.datasync();
  } finally {
    await file.close();
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** Whether a file is named as a body that is being received. */
export function isIncomingName(name: string): boolean {
  return INCOMING_NAME.test(name);
}

function isMissing(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}
