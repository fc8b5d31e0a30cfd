import { type FileHandle, open } from 'node:fs/promises';

import type { FlushSchedule } from './flush-schedule.js';
import { GroupCommit } from './group-commit.js';
import type { RecordChange } from './record.js';
import { formatLogLine } from './store-log-lines.js';

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
 * again with them, at the same place in the file: so a line is durable only if all before it are.
 */
export class StoreLog implements ChangeJournal {
  readonly #file: FileHandle;
  readonly #flushes: FlushSchedule;
  readonly #commit = new GroupCommit(() => this.#write());
  /** Where the durable lines end, in bytes. */
  #length: number;
  #waiting: string[] = [];

  private constructor(file: FileHandle, length: number, flushes: FlushSchedule) {
    this.#file = file;
    this.#flushes = flushes;
    this.#length = length;
  }

  /** Opens a log that ends with a whole line. */
  static async open(path: string, flushes: FlushSchedule): Promise<StoreLog> {
    const file = await open(path, 'r+');
    return new StoreLog(file, (await file.stat()).size, flushes);
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
}
