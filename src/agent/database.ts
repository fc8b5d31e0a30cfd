import { chmodSync, existsSync, realpathSync } from 'node:fs';

import Sqlite from 'better-sqlite3';

import { isXftpError, XftpError } from '../protocol/index.js';
import { BackgroundFlush } from './background-flush.js';
import { damaged, databaseFailure, flushFailure } from './database-failure.js';

/** What SQLite takes and gives. */
export type SqlValue = string | number | bigint | Uint8Array | null;

/** How long a statement waits for another process that reads the database, in ms. */
const BUSY_TIMEOUT_MS = 5000;
/** Largest database that is looked through at the start, in bytes: that takes some 8 ms for each MiB. */
const MAX_CHECKED = 64 * 1024 ** 2;
/** Pages kept in memory, in KiB: enough for the indices of tens of thousands of transfers. */
const CACHE_KIB = 16 * 1024;

/**
 * A SQLite database with one writer, this process: statements are prepared once, transactions nest. Everything that
 * uses the file throws XftpError DISK_FULL or DATABASE_UNUSABLE when it cannot be used.
 */
export class Database {
  readonly path: string;
  readonly #sqlite: Sqlite.Database;
  readonly #statements = new Map<string, Sqlite.Statement<SqlValue[]>>();
  /** Flushes the write-ahead log; a database in memory has none. */
  readonly #log: BackgroundFlush | undefined;
  /** After a flush that failed, later ones may succeed and leave a hole in the log, behind which all is lost. */
  #logIsDamaged = false;
  readonly #afterCommit: (() => void)[] = [];
  #telling = false;

  /**
   * Opens or creates the file with mode 0600.
   *
   * @throws XftpError DATABASE_UNUSABLE, DISK_FULL
   */
  constructor(path: string) {
    this.path = path;
    try {
      const isNew = path !== ':memory:' && !existsSync(path);
      this.#sqlite = new Sqlite(path, { timeout: BUSY_TIMEOUT_MS });
      if (isNew) chmodSync(path, 0o600);
      this.#sqlite.pragma('journal_mode = WAL');
      // A power loss must not undo what a relay was told afterwards.
      this.#sqlite.pragma('synchronous = FULL');
      this.#sqlite.pragma('foreign_keys = ON');
      this.#sqlite.pragma(`cache_size = -${String(CACHE_KIB)}`);
      // The log lies beside the file itself, not beside a link to it.
      this.#log = path === ':memory:' ? undefined : new BackgroundFlush(`${realpathSync(path)}-wal`);
    } catch (cause) {
      const failure = databaseFailure(cause, path);
      if (isXftpError(failure)) throw failure;
      throw new XftpError('DATABASE_UNUSABLE', `The database ${path} cannot be opened: ${reasonOf(cause)}.`, {
        cause,
      });
    }
  }

  /**
   * Looks through a database that is not too large for damage, so that it is found before anything is changed.
   *
   * @throws XftpError DATABASE_UNUSABLE
   */
  check(): void {
    const { size = 0 } =
      this.get<{ size: number }>(
        'SELECT page_count * page_size AS size FROM pragma_page_count, pragma_page_size',
      ) ?? {};
    if (size > MAX_CHECKED) return;
    const found = this.get<{ quick_check: string }>('PRAGMA quick_check(1)')?.quick_check;
    if (found !== 'ok') throw damaged(this.path, new Error(found));
  }

  /** Runs statements without parameters, as a migration has them. */
  execute(sql: string): void {
    this.#guarded(() => this.#sqlite.exec(sql));
  }

  /** Runs a statement; gives the number of changed rows and the last row id. */
  run(sql: string, ...values: readonly SqlValue[]): { changes: number; lastId: number } {
    if (!this.#sqlite.inTransaction) this.#mendLog();
    const { changes, lastInsertRowid } = this.#guarded(() => this.#prepare(sql).run(...values));
    return { changes, lastId: Number(lastInsertRowid) };
  }

  /** The first row, whose shape the caller knows from the statement. */
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the caller says what the statement gives
  get<T extends object>(sql: string, ...values: readonly SqlValue[]): T | undefined {
    // The columns of a statement are known to whoever wrote it.
    return this.#guarded(() => this.#prepare(sql).get(...values)) as T | undefined;
  }

  /** All rows, whose shape the caller knows from the statement. */
  all<T extends object>(sql: string, ...values: readonly SqlValue[]): T[] {
    // As above.
    return this.#guarded(() => this.#prepare(sql).all(...values)) as T[];
  }

  /**
   * Does `work` in one transaction, or as part of the one that is open.
   *
   * @param options `flush: false` for what may be undone by a power loss: the next flushed one takes it along
   */
  transaction<T>(work: () => T, { flush = true }: { readonly flush?: boolean } = {}): T {
    if (this.#sqlite.inTransaction) return work();
    this.#mendLog();
    // What an earlier commit has still to tell stays, whatever becomes of this one.
    const untold = this.#afterCommit.length;
    let result: T;
    try {
      if (!flush) this.#sqlite.pragma('synchronous = NORMAL');
      result = this.#guarded(() => this.#sqlite.transaction(work).immediate());
    } catch (error) {
      this.#afterCommit.length = untold;
      throw error;
    } finally {
      if (!flush) this.#sqlite.pragma('synchronous = FULL');
    }
    this.#tell();
    return result;
  }

  /**
   * Does `work` in one transaction, whose flush nobody else has to wait for; what it wrote outlives a power loss when
   * this returns. For what is recorded with each chunk: the disk is asked while other things are done.
   *
   * @param work tells nobody of anything (`afterCommit`): clients hear only of what is on disk
   */
  async transactionAsync<T>(work: () => T): Promise<T> {
    const result = this.transaction(
      () => {
        const untold = this.#afterCommit.length;
        const done = work();
        if (this.#afterCommit.length > untold)
          throw new Error('What tells of itself has to be flushed at once.');
        return done;
      },
      { flush: false },
    );
    await this.flushed();
    return result;
  }

  /** Returns when everything that was committed before the call outlives a power loss. */
  async flushed(): Promise<void> {
    try {
      await this.#log?.flush();
    } catch (error) {
      // When it is closed, SQLite has brought everything into the database file.
      if (!this.#sqlite.open) return;
      this.#logIsDamaged = true;
      this.#mendLog(error);
    }
    this.#mendLog();
  }

  /** Calls `action` when the open transaction is committed, at once if there is none. */
  afterCommit(action: () => void): void {
    this.#afterCommit.push(action);
    if (!this.#sqlite.inTransaction) this.#tell();
  }

  close(): void {
    this.#sqlite.close();
    void this.#log?.close();
  }

  /**
   * Brings what is in a damaged log into the database file, flushed, and begins the log anew; nothing is added to it
   * before that.
   */
  #mendLog(cause?: unknown): void {
    if (!this.#logIsDamaged) return;
    const [outcome] = this.#guarded(() => this.#sqlite.pragma('wal_checkpoint(TRUNCATE)')) as [
      { busy: number },
    ];
    if (outcome.busy !== 0) throw flushFailure(cause, this.path);
    this.#logIsDamaged = false;
  }

  /** In the order of the commits, even when an action makes another commit. */
  #tell(): void {
    if (this.#telling) return;
    this.#telling = true;
    try {
      for (let next = this.#afterCommit.shift(); next !== undefined; next = this.#afterCommit.shift()) next();
    } finally {
      this.#telling = false;
    }
  }

  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw databaseFailure(error, this.path);
    }
  }

  #prepare(sql: string): Sqlite.Statement<SqlValue[]> {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#sqlite.prepare<SqlValue[]>(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown reason';
}
