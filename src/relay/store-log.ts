import type { Stats } from 'node:fs';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

import { XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';
import { flushFolder } from './flush-folder.js';
import type { FlushSchedule } from './flush-schedule.js';
import { GroupCommit } from './group-commit.js';
import type { RecordChange } from './record.js';
import { formatLogLine } from './store-log-lines.js';

/** The log tells keys, not contents; still nobody else needs it. */
export const LOG_MODE = 0o600;
/** Bytes of the log that are copied at once. */
const COPY_SIZE = 256 * 1024;

/** Where changes of records are made durable. */
export interface ChangeJournal {
  /** Takes the changes in order; resolves when they, and all before them, will survive a crash. */
  append(changes: readonly RecordChange[]): Promise<void>;
  /** Resolves when everything appended so far will survive a crash. */
  settled(): Promise<void>;
  /** Makes everything durable and ends the use of the journal. */
  close(): Promise<void>;
}

/** A journal that keeps nothing: for a relay without a store log. */
export const NO_JOURNAL: ChangeJournal = {
  append: () => Promise.resolve(),
  settled: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

/**
 * The store log (protocol reference, section 11.4): one line a change. Lines that come while the disk is busy are
 * written and flushed together. Lines that could not be written stay in front of the later ones and are written
 * again with them, at the same place in the file: so a line is durable only if all before it are. It is only durable,
 * too, in the file that the next start reads: when there is none any more it is made again, and while there is another
 * one no line is.
 */
export class StoreLog implements ChangeJournal {
  readonly #path: string;
  #file: FileHandle;
  /** What the file was when it was opened. */
  #opened: Stats;
  readonly #flushes: FlushSchedule;
  readonly #commit = new GroupCommit(() => this.#write());
  /** Where the durable lines end, in bytes. */
  #length: number;
  #waiting: string[] = [];

  private constructor(path: string, file: FileHandle, opened: Stats, flushes: FlushSchedule) {
    this.#path = path;
    this.#file = file;
    this.#opened = opened;
    this.#flushes = flushes;
    this.#length = opened.size;
  }

  /** Opens a log that ends with a whole line. */
  static async open(path: string, flushes: FlushSchedule): Promise<StoreLog> {
    const file = await open(path, 'r+');
    return new StoreLog(path, file, await file.stat(), flushes);
  }

  append(changes: readonly RecordChange[]): Promise<void> {
    for (const change of changes) this.#waiting.push(`${formatLogLine(change)}\n`);
    return this.#commit.request();
  }

  settled(): Promise<void> {
    return this.#commit.request();
  }

  async close(): Promise<void> {
    try {
      await this.settled();
      await this.#flushes.settled();
    } finally {
      await this.#file.close();
    }
  }

  async #write(): Promise<void> {
    await this.#requireInPlace();
    const lines = this.#waiting;
    if (lines.length === 0) return;
    this.#waiting = [];
    try {
      const bytes = Buffer.from(lines.join(''));
      let written = 0;
      while (written < bytes.length) {
        const result = await this.#file.write(bytes, written, bytes.length - written, this.#length + written);
        written += result.bytesWritten;
      }
      await this.#flushes.flush('the store log', () => this.#file.datasync());
      this.#length += bytes.length;
    } catch (error) {
      this.#waiting = [...lines, ...this.#waiting];
      throw error;
    }
  }

  /** Programs that rotate logs move them away, and people remove what they take for old. */
  async #requireInPlace(): Promise<void> {
    const now = await stat(this.#path).catch((error: unknown) => {
      if (errorCode(error) === 'ENOENT') return undefined;
      throw error;
    });
    if (now === undefined) {
      await this.#makeAgain();
      return;
    }
    if (now.ino === this.#opened.ino && now.dev === this.#opened.dev) return;
    throw new XftpError(
      'LOCAL_IO',
      `Another file has taken the place of the store log ${this.#path} while the relay runs, and nothing can be recorded: ` +
        'move it away.',
    );
  }

  /** From the file that is still open, wherever it is now. */
  async #makeAgain(): Promise<void> {
    const fresh = `${this.#path}.again`;
    const file = await open(fresh, 'w+', LOG_MODE);
    let opened: Stats;
    try {
      opened = await file.stat();
      const piece = new Uint8Array(COPY_SIZE);
      for (let done = 0; done < this.#length;) {
        const { bytesRead } = await this.#file.read(piece, 0, Math.min(COPY_SIZE, this.#length - done), done);
        if (bytesRead === 0) throw new Error('The store log is shorter than it was.');
        await file.writeFile(piece.subarray(0, bytesRead));
        done += bytesRead;
      }
      await file.sync();
      await rename(fresh, this.#path);
    } catch (error) {
      await file.close();
      await rm(fresh, { force: true });
      throw error;
    }
    const before = this.#file;
    // From here on it is the log, whatever else fails.
    [this.#file, this.#opened] = [file, opened];
    await before.close();
    await flushFolder(dirname(this.#path));
  }
}
