import { XftpError } from '../protocol/index.js';
import type { Clock } from './clock.js';
import type { Database } from './database.js';
import type { EventLog } from './event-log.js';
import type {
  Direction,
  FailureInfo,
  Isolation,
  Page,
  TransferInfo,
  TransferState,
  WaitingReason,
} from './model.js';
import { FINAL_STATES, isFinal, mayFollow, RUNNING_STATES } from './transfer-states.js';

/** A row of `transfers`. */
export interface TransferRow {
  readonly id: string;
  readonly direction: Direction;
  readonly state: TransferState;
  readonly waiting_reason: WaitingReason | null;
  readonly token_id: number;
  readonly client_ref: string | null;
  readonly priority: number;
  readonly created_at: number;
  readonly updated_at: number;
  readonly finished_at: number | null;
  readonly deadline: number;
  readonly expires_at: number | null;
  readonly run: number;
  readonly failure: string | null;
  readonly file_name: string | null;
  readonly file_size: number | null;
  readonly encrypted_size: number | null;
  readonly file_key: Buffer | null;
  readonly file_nonce: Buffer | null;
  readonly file_digest: Buffer | null;
  readonly path: string | null;
  readonly chunks_total: number;
  readonly chunks_done: number;
  readonly bytes_done: number;
  readonly hidden: number;
  readonly folders: string | null;
  readonly isolation: Isolation | null;
  readonly byte_limit: number | null;
}

/** A new transfer, in state `queued`. */
export interface NewTransfer {
  readonly id: string;
  readonly direction: Direction;
  readonly tokenId: number;
  readonly clientRef?: string;
  readonly priority: number;
  readonly deadline: number;
  readonly fileName?: string;
  readonly fileSize?: number;
  readonly path?: string;
  readonly hidden?: boolean;
  /** Those that it may use; all of them unless given. */
  readonly folders?: readonly string[];
  readonly isolation?: Isolation;
  /** Bytes per second. */
  readonly limit?: number;
}

/** Columns of a transfer that change while it runs. */
export interface TransferChange {
  readonly file_name?: string;
  readonly file_size?: number;
  readonly encrypted_size?: number;
  readonly file_key?: Uint8Array;
  readonly file_nonce?: Uint8Array;
  readonly file_digest?: Uint8Array;
  readonly path?: string;
  readonly expires_at?: number | null;
  readonly priority?: number;
  readonly deadline?: number;
  readonly byte_limit?: number | null;
}

/** What a change of state brings along. */
export type Transition =
  | { readonly to: Exclude<TransferState, 'waiting' | 'failed'> }
  | { readonly to: 'waiting'; readonly reason: WaitingReason; readonly failure?: FailureInfo }
  | { readonly to: 'failed'; readonly failure: FailureInfo };

/** The transfers in the database. */
export class TransferStore {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #events: EventLog;
  readonly #describe: (row: TransferRow) => TransferInfo;

  /** @param describe how a row is told to clients */
  constructor(options: {
    readonly database: Database;
    readonly clock: Clock;
    readonly events: EventLog;
    readonly describe: (row: TransferRow) => TransferInfo;
  }) {
    this.#database = options.database;
    this.#clock = options.clock;
    this.#events = options.events;
    this.#describe = options.describe;
  }

  /** Writes a new transfer; `details` writes what belongs to it, in the same transaction. */
  create(transfer: NewTransfer, details: () => void): void {
    const now = this.#clock.now();
    this.#database.transaction(() => {
      this.#database.run(
        `INSERT INTO transfers (id, direction, state, token_id, client_ref, priority, created_at, updated_at, deadline,
           file_name, file_size, path, hidden, folders, isolation, byte_limit)
         VALUES (?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        transfer.id,
        transfer.direction,
        transfer.tokenId,
        transfer.clientRef ?? null,
        transfer.priority,
        now,
        now,
        transfer.deadline,
        transfer.fileName ?? null,
        transfer.fileSize ?? null,
        transfer.path ?? null,
        transfer.hidden === true ? 1 : 0,
        transfer.folders === undefined ? null : JSON.stringify(transfer.folders),
        transfer.isolation ?? null,
        transfer.limit ?? null,
      );
      details();
      const row = this.row(transfer.id);
      if (row.hidden === 0)
        this.#events.append('transfer.created', { transfer: this.#describe(row) }, row.id);
    });
  }

  /**
   * The only place that changes a state: checks that the step is legal, writes the row and appends the events, in one
   * transaction.
   *
   * @throws XftpError ILLEGAL_STATE, NOT_FOUND
   */
  transition(id: string, step: Transition): TransferRow {
    return this.#database.transaction(() => {
      const row = this.row(id);
      const { to } = step;
      if (!mayFollow(row.direction, row.state, to)) throw illegal(row, to);
      const now = this.#clock.now();
      const failure = step.to === 'failed' || step.to === 'waiting' ? step.failure : undefined;
      const reason = step.to === 'waiting' ? step.reason : undefined;
      this.#database.run(
        `UPDATE transfers SET state = ?, waiting_reason = ?, failure = ?, updated_at = ?, finished_at = ?,
           run = run + ? WHERE id = ?`,
        to,
        reason ?? null,
        failure === undefined ? null : JSON.stringify(failure),
        now,
        isFinal(to) ? now : null,
        isFinal(row.state) ? 1 : 0,
        id,
      );
      const changed = this.row(id);
      if (changed.hidden === 0) this.#tell(row.state, changed, { reason, failure });
      return changed;
    });
  }

  #tell(
    from: TransferState,
    row: TransferRow,
    { reason, failure }: { reason: WaitingReason | undefined; failure: FailureInfo | undefined },
  ): void {
    this.#events.append(
      'transfer.state',
      {
        from,
        to: row.state,
        ...(reason === undefined ? {} : { waitingReason: reason }),
        ...(failure === undefined ? {} : { failure }),
      },
      row.id,
    );
    const transfer = this.#describe(row);
    if (row.state === 'completed') this.#events.append('transfer.completed', { transfer }, row.id);
    if (row.state === 'failed' && failure !== undefined)
      this.#events.append('transfer.failed', { transfer, failure }, row.id);
  }

  /** What a waiting transfer waits for has become another; that is seen in it, and no event. */
  stillWaits(
    id: string,
    { reason, failure }: { readonly reason: WaitingReason; readonly failure?: FailureInfo },
  ): void {
    this.#database.run(
      "UPDATE transfers SET waiting_reason = ?, failure = ?, updated_at = ? WHERE id = ? AND state = 'waiting'",
      reason,
      failure === undefined ? null : JSON.stringify(failure),
      this.#clock.now(),
      id,
    );
  }

  /** Changes other columns than the state. */
  update(id: string, change: TransferChange): void {
    const entries = Object.entries(change) as [string, string | number | Uint8Array | null][];
    if (entries.length === 0) return;
    const columns = entries.map(([name]) => `${name} = ?`).join(', ');
    const values = entries.map(([, value]) => value);
    this.#database.run(
      `UPDATE transfers SET ${columns}, updated_at = ? WHERE id = ?`,
      ...values,
      this.#clock.now(),
      id,
    );
  }

  /** Forgets what was found out about a source, so that it is prepared anew. */
  forgetFile(id: string): void {
    this.#database.run(
      `UPDATE transfers SET file_key = NULL, file_nonce = NULL, file_digest = NULL, encrypted_size = NULL,
         expires_at = NULL WHERE id = ?`,
      id,
    );
  }

  /** @throws XftpError NOT_FOUND */
  row(id: string): TransferRow {
    const row = this.find(id);
    if (row === undefined) throw new XftpError('NOT_FOUND', `There is no transfer ${id}.`);
    return row;
  }

  find(id: string): TransferRow | undefined {
    return this.#database.get<TransferRow>('SELECT * FROM transfers WHERE id = ?', id);
  }

  /** A caller's transfer by the caller's own name for it. */
  findByClientRef(tokenId: number, clientRef: string): TransferRow | undefined {
    return this.#database.get<TransferRow>(
      'SELECT * FROM transfers WHERE token_id = ? AND client_ref = ?',
      tokenId,
      clientRef,
    );
  }

  /** What clients see of a transfer. */
  info(id: string): TransferInfo {
    return this.#describe(this.row(id));
  }

  /** Newest first. */
  list(query: {
    readonly direction?: Direction;
    readonly state?: TransferState;
    readonly tokenId?: number;
    readonly limit: number;
    readonly cursor?: string;
  }): Page<TransferInfo> {
    const conditions = ['hidden = 0'];
    const values: (string | number)[] = [];
    if (query.direction !== undefined) {
      conditions.push('direction = ?');
      values.push(query.direction);
    }
    if (query.state !== undefined) {
      conditions.push('state = ?');
      values.push(query.state);
    }
    if (query.tokenId !== undefined) {
      conditions.push('token_id = ?');
      values.push(query.tokenId);
    }
    if (query.cursor !== undefined) {
      const { createdAt, id } = decodeCursor(query.cursor);
      conditions.push('(created_at, id) < (?, ?)');
      values.push(createdAt, id);
    }
    const rows = this.#database.all<TransferRow>(
      `SELECT * FROM transfers WHERE ${conditions.join(' AND ')} ORDER BY created_at DESC, id DESC LIMIT ?`,
      ...values,
      query.limit + 1,
    );
    const items = rows.slice(0, query.limit);
    const last = items.at(-1);
    return {
      items: items.map(this.#describe),
      ...(rows.length > query.limit && last !== undefined ? { nextCursor: encodeCursor(last) } : {}),
    };
  }

  /** Number of transfers in each state that has any. */
  counts(): ReadonlyMap<TransferState, number> {
    const rows = this.#database.all<{ state: TransferState; count: number }>(
      'SELECT state, COUNT(*) AS count FROM transfers WHERE hidden = 0 GROUP BY state',
    );
    return new Map(rows.map(({ state, count }) => [state, count]));
  }

  /** Transfers that the agent was working on when it was stopped. */
  interrupted(): TransferRow[] {
    return this.#database.all<TransferRow>(
      'SELECT * FROM transfers WHERE state IN (SELECT value FROM json_each(?)) ORDER BY priority DESC, created_at',
      JSON.stringify(RUNNING_STATES),
    );
  }

  /** The next transfers in the queue: those that clients see, or the stored descriptions. */
  queued(limit: number, hidden = false): TransferRow[] {
    return this.#database.all<TransferRow>(
      "SELECT * FROM transfers WHERE state = 'queued' AND hidden = ? ORDER BY priority DESC, created_at LIMIT ?",
      Number(hidden),
      limit,
    );
  }

  /** Transfers that are not over although their deadline is. */
  overdue(): string[] {
    return this.#database
      .all<{ id: string }>(
        'SELECT id FROM transfers WHERE deadline <= ? AND state NOT IN (SELECT value FROM json_each(?))',
        this.#clock.now(),
        JSON.stringify(FINAL_STATES),
      )
      .map(({ id }) => id);
  }

  /** Transfers that are over and may still have files or uploads that nobody needs. */
  uncleaned(): string[] {
    return this.#database
      .all<{ id: string }>(
        `SELECT id FROM transfers t WHERE state IN ('cancelled', 'completed') AND (
           EXISTS (SELECT 1 FROM sends WHERE transfer_id = t.id AND snapshot_path IS NOT NULL)
           OR state = 'cancelled' AND EXISTS (SELECT 1 FROM replicas WHERE transfer_id = t.id AND state <> 'bad'))`,
      )
      .map(({ id }) => id);
  }

  /** Visible transfers that were over before a time. */
  finishedBefore(time: number): string[] {
    return this.#database
      .all<{ id: string }>(
        'SELECT id FROM transfers WHERE finished_at < ? AND hidden = 0 AND state IN (SELECT value FROM json_each(?))',
        time,
        JSON.stringify(FINAL_STATES),
      )
      .map(({ id }) => id);
  }

  /** Forgets a transfer and all that belongs to it, but for its events and what relays have to be told still. */
  remove(id: string): void {
    this.#database.transaction(() => {
      const row = this.row(id);
      if (!isFinal(row.state))
        throw new XftpError('ILLEGAL_STATE', `The transfer is ${row.state}: cancel it before it is removed.`);
      // While it can still be seen whose it is.
      if (row.hidden === 0) this.#events.append('transfer.removed', {}, id);
      this.#database.run(
        'DELETE FROM transfers WHERE id IN (SELECT transfer_id FROM sends WHERE redirect_of = ?)',
        id,
      );
      this.#database.run('DELETE FROM transfers WHERE id = ?', id);
    });
  }
}

/** Why a transfer failed, or what it waits for. */
export function failureOf({ failure }: Pick<TransferRow, 'failure'>): FailureInfo | undefined {
  // Written by `transition`.
  return failure === null ? undefined : (JSON.parse(failure) as FailureInfo);
}

function illegal(row: TransferRow, to: TransferState): XftpError {
  if (row.state === to) return new XftpError('ILLEGAL_STATE', `The transfer is ${to} already.`);
  return new XftpError('ILLEGAL_STATE', `A transfer that is ${row.state} cannot become ${to}.`);
}

function encodeCursor({ created_at, id }: TransferRow): string {
  return `${String(created_at)}.${id}`;
}

function decodeCursor(cursor: string): { createdAt: number; id: string } {
  const [, createdAt, id] = /^(\d{1,15})\.([\w-]{1,64})$/.exec(cursor) ?? [];
  if (createdAt === undefined || id === undefined)
    throw new XftpError('INVALID_ARGUMENT', 'The cursor is none that this agent gave out.');
  return { createdAt: Number(createdAt), id };
}
