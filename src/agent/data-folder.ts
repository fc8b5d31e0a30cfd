import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';

import Sqlite from 'better-sqlite3';

import { XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';
import { localFailure } from '../transfer/index.js';

/** Nobody else may look into the folder: it holds keys. */
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const DATABASE = 'agent.sqlite';

/** The agent's own folder, held by one agent at a time. */
export class DataFolder {
  readonly path: string;
  readonly #lock: Sqlite.Database;

  /**
   * Makes the folder if needed, and locks it. The system lets go of the lock when the process ends, however it ends.
   *
   * @throws XftpError ALREADY_RUNNING with the other agent's process id, NO_PERMISSION and the like
   */
  constructor(path: string) {
    this.path = path;
    try {
      mkdirSync(join(path, 'snapshots'), { recursive: true, mode: FOLDER_MODE });
      chmodSync(path, FOLDER_MODE);
    } catch (error) {
      throw localFailure(error, path);
    }
    this.#lock = lock(path);
    if (isHeld(path)) {
      this.unlock();
      throw alreadyRunning(path);
    }
    try {
      writeFileSync(this.#pidFile, `${String(process.pid)}\n`, { mode: FILE_MODE });
    } catch (error) {
      this.unlock();
      throw localFailure(error, this.#pidFile);
    }
  }

  get database(): string {
    return join(this.path, DATABASE);
  }

  /** The file with the token for clients on this machine. */
  get tokenFile(): string {
    return join(this.path, 'token');
  }

  /** Where the copy of a transfer's source is. It follows from the ID alone: the folder may be another one by now. */
  snapshotPath(id: string): string {
    return join(this.path, 'snapshots', id);
  }

  /** The token in the file, if there is one. */
  readToken(): string | undefined {
    try {
      return readFileSync(this.tokenFile, 'utf8').trim();
    } catch {
      return undefined;
    }
  }

  writeToken(token: string): void {
    try {
      writeFileSync(this.tokenFile, `${token}\n`, { mode: FILE_MODE });
      chmodSync(this.tokenFile, FILE_MODE);
    } catch (error) {
      throw localFailure(error, this.tokenFile);
    }
  }

  /** Removes copies of sources that no transfer needs, as a crash may leave them. `needed` holds the transfers' IDs. */
  async sweepSnapshots(needed: ReadonlySet<string>): Promise<void> {
    for (const id of await readdir(join(this.path, 'snapshots')))
      if (!needed.has(id)) await unlink(this.snapshotPath(id)).catch(() => undefined);
  }

  /** Lets another agent have the folder. */
  unlock(): void {
    this.#lock.close();
  }

  get #pidFile(): string {
    return join(this.path, 'agent.pid');
  }
}

/** An exclusive transaction on a database of its own: the one lock that works alike on every system. */
function lock(folder: string): Sqlite.Database {
  const path = join(folder, 'lock');
  let database: Sqlite.Database | undefined;
  try {
    database = new Sqlite(path, { timeout: 0 });
    chmodSync(path, FILE_MODE);
    database.exec('BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database?.close();
    if (!isBusy(error)) throw localFailure(error, path);
    throw alreadyRunning(folder);
  }
}

function alreadyRunning(folder: string): XftpError {
  return new XftpError(
    'ALREADY_RUNNING',
    `Another agent uses ${folder} (process ${pidIn(folder)}): stop it first, or use another data folder.`,
  );
}

/** Whether the agent that was here last still has the database open: somebody may have removed its lock. Linux only. */
function isHeld(folder: string): boolean {
  const pid = pidIn(folder);
  if (!/^\d+$/.test(pid) || pid === String(process.pid)) return false;
  const files = `/proc/${pid}/fd`;
  try {
    const { dev, ino } = statSync(join(folder, DATABASE), { bigint: true });
    return readdirSync(files).some((file) => {
      const opened = statSync(join(files, file), { bigint: true, throwIfNoEntry: false });
      return opened?.dev === dev && opened.ino === ino;
    });
  } catch {
    // It has ended, or there is no database yet.
    return false;
  }
}

function isBusy(error: unknown): boolean {
  return errorCode(error)?.startsWith('SQLITE_BUSY') === true;
}

function pidIn(folder: string): string {
  try {
    return readFileSync(join(folder, 'agent.pid'), 'utf8').trim();
  } catch {
    return 'unknown';
  }
}
