import type { Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';

import { XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';
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
 * again with them, at the same place in the file: so a line is durable only if all before it are. It is only durable,
 * too, in the file that the next start reads: while that is another one, or none, no line is.
 */
export class StoreLog implements ChangeJournal {
  readonly #path: string;
  readonly #file: FileHandle;
  /** What the file was when it was opened. */
  readonly #opened: Stats;
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
      await this.#requireInPlace();
    } finally {
      await this.#file.close();
    }
  }

  async #write(): Promise<void> {
    const lines = this.#waiting;
    if (lines.length === 0) return;
    this.#waiting = [];
    try {
      await this.#requireInPlace();
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
    if (now?.ino === this.#opened.ino && now.dev === this.#opened.dev) return;
    throw new XftpError(
      'LOCAL_IO',
      `The store log ${this.#path} was moved away or removed while the relay runs, and nothing can be recorded: move it ` +
        `back. If it was removed, copy it from /proc/${String(process.pid)}/fd/${String(this.#file.fd)} and start the ` +
        'relay again.',
    );
  }
}
