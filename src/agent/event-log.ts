import type { Clock } from './clock.js';
import type { Database, SqlValue } from './database.js';
import type { AgentEvent, DurableEvent, DurableEvents, DurableEventType } from './model.js';

interface EventRow {
  readonly seq: number;
  readonly at: number;
  readonly type: string;
  readonly transfer_id: string | null;
  readonly data: string;
}

type Listener = (event: AgentEvent) => void;

/** Durable events, written with the change that they tell of and handed to listeners when it is committed. */
export class EventLog {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #listeners = new Set<Listener>();
  readonly #onListenerError: (error: unknown) => void;

  constructor(database: Database, clock: Clock, onListenerError: (error: unknown) => void) {
    this.#database = database;
    this.#clock = clock;
    this.#onListenerError = onListenerError;
  }

  /** Appends an event. Call it inside the transaction of the change. */
  append<T extends DurableEventType>(type: T, data: DurableEvents[T], transferId?: string): void {
    const at = this.#clock.now();
    const { lastId: seq } = this.#database.run(
      `INSERT INTO events (at, type, transfer_id, token_id, data)
       VALUES (?, ?, ?, (SELECT token_id FROM transfers WHERE id = ?), ?)`,
      at,
      type,
      transferId ?? null,
      transferId ?? null,
      JSON.stringify(data),
    );
    const event = { seq, at, type, ...(transferId === undefined ? {} : { transferId }), data };
    // `type` and `data` belong together by the signature.
    this.#database.afterCommit(() => {
      this.emit(event as unknown as DurableEvent);
    });
  }

  /** Hands an event to the listeners. One that throws does not keep it from the others. */
  emit(event: AgentEvent): void {
    for (const listener of this.#listeners)
      try {
        listener(event);
      } catch (error) {
        this.#onListenerError(error);
      }
  }

  /** Calls `listener` for each event from now on. Returns how to stop. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Sequence numbers of the oldest event kept and of the newest one ever; 0 if there is none. */
  range(): { readonly oldest: number; readonly newest: number } {
    const newest = this.#database.get<{ seq: number }>(
      "SELECT seq FROM sqlite_sequence WHERE name = 'events'",
    )?.seq;
    const oldest = this.#database.get<{ seq: number | null }>('SELECT MIN(seq) AS seq FROM events')?.seq;
    return { oldest: oldest ?? 0, newest: newest ?? 0 };
  }

  /** Events after `since`, oldest first. */
  list(query: {
    readonly since?: number;
    readonly types?: readonly string[];
    readonly transferId?: string;
    /** Of transfers only those of this token. */
    readonly tokenId?: number;
    readonly limit: number;
  }): DurableEvent[] {
    const conditions = ['seq > ?'];
    const values: SqlValue[] = [query.since ?? 0];
    if (query.transferId !== undefined) {
      conditions.push('transfer_id = ?');
      values.push(query.transferId);
    }
    if (query.tokenId !== undefined) {
      conditions.push('(transfer_id IS NULL OR token_id = ?)');
      values.push(query.tokenId);
    }
    if (query.types !== undefined) {
      conditions.push('type IN (SELECT value FROM json_each(?))');
      values.push(JSON.stringify(query.types));
    }
    return this.#database
      .all<EventRow>(
        `SELECT * FROM events WHERE ${conditions.join(' AND ')} ORDER BY seq LIMIT ?`,
        ...values,
        query.limit,
      )
      .map(toEvent);
  }

  /** Whether events after `since` that somebody asks for may be kept no longer. */
  lags({ since = 0, transferId }: { readonly since?: number; readonly transferId?: string }): boolean {
    const { oldest, newest } = this.range();
    const isCut = since + 1 < oldest || (oldest === 0 && since < newest);
    // All that was ever told of a transfer is kept if its first event is.
    const first = "SELECT 1 FROM events WHERE transfer_id = ? AND type = 'transfer.created'";
    return isCut && (transferId === undefined || this.#database.get(first, transferId) === undefined);
  }

  /** The token that asked for a transfer, also for one that is no more as long as there are events of it. */
  ownerOf(transferId: string): number | undefined {
    return this.#database.get<{ token_id: number }>(
      `SELECT token_id FROM transfers WHERE id = ?
       UNION ALL SELECT token_id FROM events WHERE transfer_id = ? AND token_id IS NOT NULL LIMIT 1`,
      transferId,
      transferId,
    )?.token_id;
  }

  /**
   * Removes events that are older than `before` or more than `count`. Their times need not grow, since clocks are set
   * back: one that is old behind one that is young stays with it, so that there are never gaps between those kept.
   */
  prune({ before, count }: { readonly before: number; readonly count: number }): void {
    const { newest } = this.range();
    const young = this.#database.get<{ seq: number }>(
      'SELECT seq FROM events WHERE at >= ? ORDER BY seq LIMIT 1',
      before,
    );
    this.#database.run(
      'DELETE FROM events WHERE seq < ?',
      Math.max(young?.seq ?? newest + 1, newest - count + 1),
    );
  }
}

function toEvent({ seq, at, type, transfer_id, data }: EventRow): DurableEvent {
  const transfer = transfer_id === null ? {} : { transferId: transfer_id };
  // Only `append` writes rows, with data that belong to their type.
  return { seq, at, type, ...transfer, data: JSON.parse(data) as unknown } as DurableEvent;
}
