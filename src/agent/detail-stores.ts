import type { Database } from './database.js';
import type { OnConflict, RedirectPolicy, Settings } from './model.js';
import type { ReplicaCounts } from '../transfer/index.js';

/** What only a send has. */
export interface SendRow {
  readonly transfer_id: string;
  /**
   * Where the copy of the source was made; NULL when there is none. The data folder may be at another place since:
   * `RunServices.snapshotPath` tells where the copy is.
   */
  readonly snapshot_path: string | null;
  readonly source_size: number | null;
  readonly source_mtime_ms: number | null;
  readonly handed_out: number;
  readonly recipients: number;
  /** JSON array of server addresses, perhaps with passwords. */
  readonly servers: string | null;
  readonly redirect: RedirectPolicy;
  readonly tag: Buffer | null;
  readonly redirect_of: string | null;
  readonly redirect_recipient: number | null;
  readonly revoked_at: number | null;
  /** On how many relays each chunk is to be. */
  readonly replicas: number;
  /** On how many relays each chunk must be for the send to be completed. */
  readonly replicas_required: number;
  /** 1 while a completed send still brings its chunks onto further relays. */
  readonly replicating: number;
}

/** What is known of a send from its start. */
export interface NewSend {
  readonly snapshotPath?: string;
  readonly handedOut: number;
  readonly recipients: number;
  readonly servers?: readonly string[];
  readonly redirect: RedirectPolicy;
  readonly replicas: ReplicaCounts;
  readonly redirectOf?: { readonly id: string; readonly recipient: number };
}

/** The rows of `sends`. */
export class SendStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  create(transferId: string, send: NewSend): void {
    this.#database.run(
      `INSERT INTO sends (transfer_id, snapshot_path, handed_out, recipients, servers, redirect, redirect_of,
         redirect_recipient, replicas, replicas_required) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      transferId,
      send.snapshotPath ?? null,
      send.handedOut,
      send.recipients,
      send.servers === undefined ? null : JSON.stringify(send.servers),
      send.redirect,
      send.redirectOf?.id ?? null,
      send.redirectOf?.recipient ?? null,
      send.replicas.wanted,
      send.replicas.required,
    );
  }

  find(transferId: string): SendRow | undefined {
    return this.#database.get<SendRow>('SELECT * FROM sends WHERE transfer_id = ?', transferId);
  }

  /** The stored descriptions of a send, by recipient. */
  redirects(transferId: string): SendRow[] {
    return this.#database.all<SendRow>(
      'SELECT * FROM sends WHERE redirect_of = ? ORDER BY redirect_recipient',
      transferId,
    );
  }

  setPrepared(
    transferId: string,
    source: { readonly size: number; readonly modifiedMs: number; readonly tag: Uint8Array },
  ): void {
    this.#database.run(
      'UPDATE sends SET source_size = ?, source_mtime_ms = ?, tag = ? WHERE transfer_id = ?',
      source.size,
      source.modifiedMs,
      source.tag,
      transferId,
    );
  }

  setRecipients(
    transferId: string,
    { handedOut, recipients }: { handedOut: number; recipients: number },
  ): void {
    this.#database.run(
      'UPDATE sends SET handed_out = ?, recipients = ? WHERE transfer_id = ?',
      handedOut,
      recipients,
      transferId,
    );
  }

  setRevoked(transferId: string, at: number): void {
    this.#database.run('UPDATE sends SET revoked_at = ? WHERE transfer_id = ?', at, transferId);
  }

  /** Whether a completed send still brings its chunks onto further relays. */
  setReplicating(transferId: string, replicating: boolean): void {
    this.#database.run(
      'UPDATE sends SET replicating = ? WHERE transfer_id = ?',
      Number(replicating),
      transferId,
    );
  }

  /** Sends that still bring their chunks onto further relays, oldest first; those whose deadline has passed if asked. */
  replicating(options: { readonly overdueAt?: number } = {}): string[] {
    return this.#database
      .all<{ id: string }>(
        `SELECT t.id AS id FROM sends s JOIN transfers t ON t.id = s.transfer_id
         WHERE s.replicating = 1 AND t.deadline <= ? ORDER BY t.created_at`,
        options.overdueAt ?? Number.MAX_SAFE_INTEGER,
      )
      .map(({ id }) => id);
  }

  /** Counts a deletion on a relay; gives the counts so far. */
  countDeletion(
    transferId: string,
    ok: boolean,
  ): { readonly deleted: number; readonly failed: number } | undefined {
    return this.#database.get<{ deleted: number; failed: number }>(
      `UPDATE sends SET chunks_deleted = chunks_deleted + ?, deletions_failed = deletions_failed + ?
       WHERE transfer_id = ? RETURNING chunks_deleted AS deleted, deletions_failed AS failed`,
      Number(ok),
      Number(!ok),
      transferId,
    );
  }

  setSnapshot(transferId: string, path: string): void {
    this.#database.run('UPDATE sends SET snapshot_path = ? WHERE transfer_id = ?', path, transferId);
  }

  /** The snapshot is gone. */
  clearSnapshot(transferId: string): void {
    this.#database.run('UPDATE sends SET snapshot_path = NULL WHERE transfer_id = ?', transferId);
  }

  /** Sends that have a copy of their source. */
  withSnapshot(): string[] {
    return this.#database
      .all<{ id: string }>('SELECT transfer_id AS id FROM sends WHERE snapshot_path IS NOT NULL')
      .map(({ id }) => id);
  }
}

/** What only a receive has. */
export interface ReceiveRow {
  readonly transfer_id: string;
  readonly description: string;
  readonly redirected: string | null;
  readonly directory: string;
  readonly wanted_name: string | null;
  readonly on_conflict: OnConflict;
  readonly acknowledge: number;
  readonly approve_relays: Settings['approveRelays'];
  readonly part_path: string | null;
  readonly prefix: Buffer | null;
  readonly verified: number;
  readonly final_path: string | null;
}

/** What is known of a receive from its start. */
export interface NewReceive {
  readonly description: string;
  readonly directory: string;
  readonly wantedName?: string;
  readonly onConflict: OnConflict;
  readonly acknowledge: boolean;
  readonly approveRelays: Settings['approveRelays'];
}

/** The rows of `receives`. */
export class ReceiveStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  create(transferId: string, receive: NewReceive): void {
    this.#database.run(
      `INSERT INTO receives (transfer_id, description, directory, wanted_name, on_conflict, acknowledge, approve_relays)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      transferId,
      receive.description,
      receive.directory,
      receive.wantedName ?? null,
      receive.onConflict,
      receive.acknowledge ? 1 : 0,
      receive.approveRelays,
    );
  }

  find(transferId: string): ReceiveRow | undefined {
    return this.#database.get<ReceiveRow>('SELECT * FROM receives WHERE transfer_id = ?', transferId);
  }

  approve(transferId: string): void {
    this.#database.run("UPDATE receives SET approve_relays = 'all' WHERE transfer_id = ?", transferId);
  }

  /** The description that a redirect led to. */
  setRedirected(transferId: string, description: string): void {
    this.#database.run('UPDATE receives SET redirected = ? WHERE transfer_id = ?', description, transferId);
  }

  /** The part file was verified as a whole, and this is the path that it is about to get, or may have. */
  setChosen(transferId: string, path: string): void {
    this.#database.run(
      'UPDATE receives SET verified = 1, final_path = ? WHERE transfer_id = ?',
      path,
      transferId,
    );
  }

  /** The file does not have its path any more; that it was verified stays. */
  forgetFinalPath(transferId: string): void {
    this.#database.run('UPDATE receives SET final_path = NULL WHERE transfer_id = ?', transferId);
  }

  /** The part file must be verified again. */
  forgetVerified(transferId: string): void {
    this.#database.run(
      'UPDATE receives SET verified = 0, final_path = NULL WHERE transfer_id = ?',
      transferId,
    );
  }

  setPart(
    transferId: string,
    { path, prefix }: { readonly path: string; readonly prefix: Uint8Array },
  ): void {
    this.#database.run(
      'UPDATE receives SET part_path = ?, prefix = ? WHERE transfer_id = ?',
      path,
      prefix,
      transferId,
    );
  }
}
