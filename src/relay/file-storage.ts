import { constants } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, join, parse } from 'node:path';

import { decodeBase64Url, encodeBase64Url, XftpError } from '../protocol/index.js';
import { randomBytes } from '../crypto/index.js';
import { errorCode, makeFolders } from '../system/index.js';
import {
  type BodyReader,
  type BodyStorage,
  type BodyWriter,
  INCOMING_NAME_LENGTH,
  type ListedBody,
} from './body-storage.js';
import { FileWriter } from './file-writer.js';
import { describeFileError } from './file-errors.js';
import { flushFolder } from './flush-folder.js';
import type { FlushSchedule } from './flush-schedule.js';
import { GroupCommit } from './group-commit.js';
import { ID_LENGTH } from './record.js';
import { throwIfStopped } from './stopped-start.js';

/** Bodies that are being received. The dot keeps them apart from chunk names, which have none. */
const INCOMING_PREFIX = '.incoming-';
/** Their whole names, so that no other file is taken for one. */
const INCOMING_NAME = /^\.incoming-[\w-]{24}$/;

/** A folder of chunks. */
export interface ChunkFolder {
  readonly path: string;
  /** Tells it from another one in its place, such as the empty one that is left when a disk is not mounted any more. */
  readonly inode: number;
}

/** Chunk bodies in a folder: one file a chunk, named by the base64url of its sender ID (section 5.3). */
export class FileStorage implements BodyStorage {
  /** Where they lie. */
  readonly folder: ChunkFolder;
  readonly #flushes: FlushSchedule;
  /** A rename is durable only when the folder is flushed; uploads that end together share it. */
  readonly #flushFolder: GroupCommit;

  /** @param folder one that is there and can be written to: {@link openFileStorage} sees to it */
  constructor(folder: ChunkFolder, flushes: FlushSchedule) {
    this.folder = folder;
    this.#flushes = flushes;
    this.#flushFolder = new GroupCommit(() => flushFolder(folder.path));
  }

  receive(name: string): BodyWriter {
    return new FileWriter(this.#incomingPath(name), this.#flushes.atOnce);
  }

  async abandon(name: string): Promise<void> {
    await this.remove(this.#incomingPath(name));
  }

  async commit(name: string, senderId: Uint8Array): Promise<string> {
    await this.#requireInPlace();
    const path = this.placeOf(senderId);
    await rename(this.#incomingPath(name), path);
    try {
      if (!this.#flushes.atOnce) await this.#flushes.flush(path, () => flushBody(path));
      await this.#flushes.flush('the folder of chunks', () => this.#flushFolder.request());
    } catch (error) {
      await this.remove(path);
      throw error;
    }
    return path;
  }

  placeOf(senderId: Uint8Array): string {
    return join(this.folder.path, encodeBase64Url(senderId));
  }

  async open(place: string, size: number): Promise<BodyReader | undefined> {
    const file = await openBodyFile(place);
    if (file === undefined) {
      await this.#requireInPlace();
      return undefined;
    }
    try {
      const status = await file.stat();
      if (status.isFile() && status.size === size) return readerOf(file);
    } catch (error) {
      await file.close();
      throw error;
    }
    await file.close();
    return undefined;
  }

  async remove(place: string): Promise<void> {
    try {
      await rm(place);
    } catch (error) {
      if (!isMissing(error)) throw error;
      await this.#requireInPlace();
    }
  }

  async list(): Promise<readonly ListedBody[]> {
    const names = (await this.#fileNames()).filter(isBodyName);
    return names.map((name) => ({ senderId: decodeBase64Url(name), place: join(this.folder.path, name) }));
  }

  async storedAt(place: string): Promise<number | undefined> {
    try {
      return (await stat(place)).mtimeMs / 1000;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  async *present<T extends { readonly place: string }>(bodies: Iterable<T>): AsyncGenerator<T> {
    const names = new Set(await this.#fileNames());
    for (const body of bodies) {
      const { dir, base } = parse(body.place);
      if (dir === this.folder.path ? names.has(base) : await exists(body.place)) yield body;
    }
  }

  /** A log that was moved here names the folder it comes from; the name of the file is the same. */
  placeHere(place: string): string {
    return join(this.folder.path, basename(place));
  }

  async removeUnfinished(signal?: AbortSignal): Promise<number> {
    try {
      const names = (await this.#fileNames()).filter(isIncomingName);
      for (const name of names) {
        throwIfStopped(signal);
        await this.remove(join(this.folder.path, name));
      }
      return names.length;
    } catch (error) {
      throw unusable(error, this.folder.path);
    }
  }

  /** Before anybody is told that a chunk is stored, or is not there. */
  async #requireInPlace(): Promise<void> {
    const { path, inode } = this.folder;
    const now = await stat(path).catch((error: unknown) => {
      if (isMissing(error)) return undefined;
      throw error;
    });
    if (now?.ino === inode) return;
    throw new XftpError(
      'LOCAL_IO',
      `The folder of chunks ${path} is not the one that the relay was started with: is its disk still mounted? Nothing is ` +
        'stored or deleted until it is back; if it was moved, start the relay again.',
    );
  }

  #incomingPath(name: string): string {
    return join(this.folder.path, INCOMING_PREFIX + name);
  }

  /** Names of the files in the folder; links and folders are none. */
  async #fileNames(): Promise<readonly string[]> {
    const entries = await readdir(this.folder.path, { withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  }
}

/**
 * Opens a folder of bodies, makes it if it is missing, and checks that it can be written to.
 *
 * @throws XftpError NO_PERMISSION, DISK_FULL or LOCAL_IO
 */
export async function openFileStorage(folder: string, flushes: FlushSchedule): Promise<FileStorage> {
  try {
    await makeFolders(folder);
    const { ino: inode } = await stat(folder);
    const storage = new FileStorage({ path: folder, inode }, flushes);
    const trial = storage.receive(encodeBase64Url(randomBytes(INCOMING_NAME_LENGTH)));
    try {
      await trial.finish();
    } finally {
      await trial.abandon();
    }
    return storage;
  } catch (error) {
    throw unusable(error, folder);
  }
}

/**
 * Opens the file of a body for reading, without waiting for anybody: a pipe in its place would else keep a thread busy
 * until somebody writes to it. What was opened may be no regular file.
 *
 * @returns undefined when there is no such file, or only a socket
 * @throws the error of the system
 */
export async function openBodyFile(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (isMissing(error) || errorCode(error) === 'ENXIO') return undefined;
    throw error;
  }
}

/** Whether a file is named as a body that is being received. */
export function isIncomingName(name: string): boolean {
  return INCOMING_NAME.test(name);
}

/** Whether a file is named as the body of a chunk: the base64url text, with padding, of a sender ID. */
export function isBodyName(name: string): boolean {
  try {
    const id = decodeBase64Url(name);
    return id.length === ID_LENGTH && encodeBase64Url(id) === name;
  } catch {
    return false;
  }
}

function readerOf(file: FileHandle): BodyReader {
  return {
    read: async (into, position) => {
      let filled = 0;
      while (filled < into.length) {
        const { bytesRead } = await file.read(into, filled, into.length - filled, position + filled);
        if (bytesRead === 0) return false;
        filled += bytesRead;
      }
      return true;
    },
    close: () => file.close(),
  };
}

/** A body that was deleted meanwhile needs no flush. */
async function flushBody(path: string): Promise<void> {
  const file = await openBodyFile(path);
  try {
    await file?.datasync();
  } finally {
    await file?.close();
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

function isMissing(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

function unusable(error: unknown, folder: string): Error {
  return describeFileError(error, `The folder of chunks ${folder} cannot be used`);
}
