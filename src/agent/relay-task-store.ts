import type { Clock } from './clock.js';
import type { Database } from './database.js';
import type { Isolation } from './model.js';

/** Something that a relay must still be told about one chunk. */
export interface RelayTaskRow {
  readonly id: number;
  readonly action: 'delete' | 'acknowledge';
  readonly transfer_id: string | null;
  readonly server: string;
  readonly access_id: Buffer;
  readonly access_key: Buffer;
  readonly created_at: number;
  readonly deadline: number;
  /** The transfer whose chunk it is, even if that was removed; null when it is none of this agent's. */
  readonly owner: string | null;
  /** The owner's. */
  readonly isolation: Isolation | null;
}

/** How long relays are tried, in ms: after the life of a chunk there is nothing to delete. */
const TASK_LIFE_MS = 48 * 3600_000;

/** Deletions and acknowledgements on relays: work that outlives its transfer. */
export class RelayTaskStore {
  readonly #database: Database;
  readonly #clock: Clock;

  constructor(database: Database, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  /** Adds a task, unless it is there. */
  add(task: {
    readonly action: RelayTaskRow['action'];
    /** The transfer that waits for the outcome. */
    readonly transferId?: string;
    /** The transfer whose chunk it is: the task shares connections as that does. */
    readonly owner?: string;
    readonly server: string;
    readonly accessId: Uint8Array;
    readonly accessKey: Uint8Array;
  }): boolean {
    const now = this.#clock.now();
    const { changes } = this.#database.run(
      `INSERT INTO relay_tasks (action, transfer_id, server, access_id, access_key, created_at, deadline,
         owner, isolation)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, (SELECT isolation FROM transfers WHERE id = ?)) ON CONFLICT DO NOTHING`,
      task.action,
      task.transferId ?? null,
      task.server,
      task.accessId,
      task.accessKey,
      now,
      now + TASK_LIFE_MS,
      task.owner ?? null,
      task.owner ?? null,
    );
    return changes > 0;
  }

  /** Servers that have tasks. */
  servers(): string[] {
    return this.#database
      .all<{ server: string }>('SELECT DISTINCT server FROM relay_tasks')
      .map(({ server }) => server);
  }

  /** The oldest tasks of a server. */
  next(server: string, limit: number): RelayTaskRow[] {
    return this.#database.all<RelayTaskRow>(
      'SELECT * FROM relay_tasks WHERE server = ? ORDER BY id LIMIT ?',
      server,
      limit,
    );
  }

  remove(id: number): void {
    this.#database.run('DELETE FROM relay_tasks WHERE id = ?', id);
  }

  /** A task that is still to be done. */
  find(id: number): RelayTaskRow | undefined {
    return this.#database.get<RelayTaskRow>('SELECT * FROM relay_tasks WHERE id = ?', id);
  }

  /** A server is not told any more which chunks have come: that is no more than a courtesy. */
  dropAcknowledgements(server: string): void {
    this.#database.run("DELETE FROM relay_tasks WHERE server = ? AND action = 'acknowledge'", server);
  }

  count(): number {
    return this.#database.get<{ count: number }>('SELECT COUNT(*) AS count FROM relay_tasks')?.count ?? 0;
  }

  /** The deletions that were to be done for a transfer without a word are told of to its clients from now on. */
  credit(transferId: string): void {
    this.#database.run(
      "UPDATE relay_tasks SET transfer_id = ? WHERE owner = ? AND action = 'delete' AND transfer_id IS NULL",
      transferId,
      transferId,
    );
  }

  /** Tasks of one kind that a transfer still has. */
  countOf(transferId: string, action: RelayTaskRow['action']): number {
    return (
      this.#database.get<{ count: number }>(
        'SELECT COUNT(*) AS count FROM relay_tasks WHERE transfer_id = ? AND action = ?',
        transferId,
        action,
      )?.count ?? 0
    );
  }
}
