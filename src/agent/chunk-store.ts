import { chunkOffsets } from '../protocol/index.js';
import type { Clock } from './clock.js';
import type { Database } from './database.js';

/** A chunk of a transfer. */
export interface ChunkRow {
  readonly transfer_id: string;
  /** From 1. It never changes, but it is the chunk's place in the file only as long as none was split. */
  readonly number: number;
  /** Where it starts in the encrypted file, in bytes. */
  readonly offset: number;
  readonly size: number;
  readonly digest: Buffer | null;
  readonly state: 'pending' | 'done';
}

/** A copy of a chunk on a relay, or what is about to become one. */
export interface ReplicaRow {
  readonly id: number;
  readonly transfer_id: string;
  readonly chunk: number;
  readonly server: string;
  readonly state: 'registering' | 'registered' | 'uploaded' | 'usable' | 'bad';
  readonly access_id: Buffer | null;
  readonly access_key: Buffer;
  readonly created_at: number;
}

/** One recipient's access to a replica. */
export interface RecipientRow {
  readonly replica_id: number;
  /** From 1. */
  readonly number: number;
  readonly access_id: Buffer | null;
  readonly access_key: Buffer;
}

/** Access to one replica of a chunk. */
export interface ReplicaAccess {
  readonly chunk: number;
  readonly server: string;
  readonly id: Uint8Array;
  readonly key: Uint8Array;
}

/** Chunks, their replicas and the recipients of these. */
export class ChunkStore {
  readonly #database: Database;
  readonly #clock: Clock;

  constructor(database: Database, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  /** Replaces all chunks of a transfer; only before any of them is on a relay. */
  replaceChunks(
    transferId: string,
    chunks: readonly { readonly size: number; readonly digest?: Uint8Array }[],
  ): void {
    this.#database.transaction(() => {
      this.#database.run('DELETE FROM chunks WHERE transfer_id = ?', transferId);
      const offsets = chunkOffsets(chunks.map(({ size }) => size));
      for (const [index, chunk] of chunks.entries())
        this.#insert(transferId, index + 1, { ...chunk, offset: offsets[index] ?? 0 });
      this.#database.run(
        'UPDATE transfers SET chunks_total = ?, chunks_done = 0, bytes_done = 0 WHERE id = ?',
        chunks.length,
        transferId,
      );
    });
  }

  /**
   * Puts pieces in the place of a chunk: the first one keeps its number, the others get new ones.
   *
   * @param pieces in order; together as long as the chunk
   */
  splitChunk(
    { transfer_id: transferId, number, offset }: ChunkRow,
    pieces: readonly { readonly size: number; readonly digest: Uint8Array }[],
  ): void {
    this.#database.transaction(() => {
      const [first, ...others] = pieces;
      if (first === undefined) return;
      const { size, digest } = first;
      this.#database.run(
        'UPDATE chunks SET size = ?, digest = ? WHERE transfer_id = ? AND number = ?',
        size,
        digest,
        transferId,
        number,
      );
      let last =
        this.#database.get<{ last: number }>(
          'SELECT MAX(number) AS last FROM chunks WHERE transfer_id = ?',
          transferId,
        )?.last ?? number;
      let start = offset + size;
      for (const piece of others) {
        last += 1;
        this.#insert(transferId, last, { ...piece, offset: start });
        start += piece.size;
      }
      this.#database.run(
        'UPDATE transfers SET chunks_total = chunks_total + ? WHERE id = ?',
        others.length,
        transferId,
      );
    });
  }

  /** In the order of the file. */
  chunks(transferId: string): ChunkRow[] {
    return this.#database.all<ChunkRow>(
      'SELECT * FROM chunks WHERE transfer_id = ? ORDER BY offset',
      transferId,
    );
  }

  /** Marks a chunk as done and counts its bytes; false if it was done already. */
  finish(transferId: string, number: number): boolean {
    return this.#database.transaction(() => {
      const { changes } = this.#database.run(
        "UPDATE chunks SET state = 'done' WHERE transfer_id = ? AND number = ? AND state = 'pending'",
        transferId,
        number,
      );
      if (changes > 0)
        this.#database.run(
          `UPDATE transfers SET chunks_done = chunks_done + 1, bytes_done = bytes_done +
             (SELECT size FROM chunks WHERE transfer_id = transfers.id AND number = ?) WHERE id = ?`,
          number,
          transferId,
        );
      return changes > 0;
    });
  }

  /** Puts chunks back to be done again. */
  reopen(transferId: string, numbers: readonly number[]): void {
    this.#database.transaction(() => {
      for (const number of numbers)
        this.#database.run(
          "UPDATE chunks SET state = 'pending' WHERE transfer_id = ? AND number = ?",
          transferId,
          number,
        );
      this.#database.run(
        `UPDATE transfers SET (chunks_done, bytes_done) =
           (SELECT COUNT(*), COALESCE(SUM(size), 0) FROM chunks WHERE transfer_id = transfers.id AND state = 'done')
         WHERE id = ?`,
        transferId,
      );
    });
  }

  /** Puts all chunks of a transfer back. */
  reopenAll(transferId: string): void {
    this.#database.transaction(() => {
      this.#database.run("UPDATE chunks SET state = 'pending' WHERE transfer_id = ?", transferId);
      this.#database.run('UPDATE transfers SET chunks_done = 0, bytes_done = 0 WHERE id = ?', transferId);
    });
  }

  /** Adds a replica; gives its id. */
  addReplica(replica: {
    readonly transferId: string;
    readonly chunk: number;
    readonly server: string;
    readonly state: ReplicaRow['state'];
    readonly accessId?: Uint8Array;
    readonly accessKey: Uint8Array;
  }): number {
    const { transferId, chunk, server, state, accessId, accessKey } = replica;
    return this.#database.run(
      `INSERT INTO replicas (transfer_id, chunk, server, state, access_id, access_key, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      transferId,
      chunk,
      server,
      state,
      accessId ?? null,
      accessKey,
      this.#clock.now(),
    ).lastId;
  }

  setReplicaState(id: number, state: ReplicaRow['state'], accessId?: Uint8Array): void {
    this.#database.run(
      'UPDATE replicas SET state = ?, access_id = COALESCE(?, access_id) WHERE id = ?',
      state,
      accessId ?? null,
      id,
    );
  }

  /** The relay knows it from now on, and keeps it for its time from now on. */
  setRegistered(id: number, accessId: Uint8Array): void {
    this.#database.run(
      "UPDATE replicas SET state = 'registered', access_id = ?, created_at = ? WHERE id = ?",
      accessId,
      this.#clock.now(),
      id,
    );
  }

  replica(id: number): ReplicaRow | undefined {
    return this.#database.get<ReplicaRow>('SELECT * FROM replicas WHERE id = ?', id);
  }

  /** Of one chunk, in the order of their making; without the bad ones. */
  replicasOf(transferId: string, chunk: number): ReplicaRow[] {
    return this.#database.all<ReplicaRow>(
      "SELECT * FROM replicas WHERE transfer_id = ? AND chunk = ? AND state <> 'bad' ORDER BY id",
      transferId,
      chunk,
    );
  }

  /** On how many relays a chunk of a send is. */
  uploadedReplicas(transferId: string, chunk: number): number {
    return (
      this.#database.get<{ count: number }>(
        "SELECT COUNT(*) AS count FROM replicas WHERE transfer_id = ? AND chunk = ? AND state = 'uploaded'",
        transferId,
        chunk,
      )?.count ?? 0
    );
  }

  /** When the oldest of the replicas that relays have of a send was registered; undefined if they have none. */
  oldestUpload(transferId: string): number | undefined {
    const oldest = this.#database.get<{ at: number | null }>(
      "SELECT MIN(created_at) AS at FROM replicas WHERE transfer_id = ? AND state = 'uploaded'",
      transferId,
    );
    return oldest?.at ?? undefined;
  }

  /** On how many relays each chunk of a send is at least, and how many replicas there are in all. */
  completeReplicas(transferId: string): { readonly complete: number; readonly uploaded: number } {
    return (
      this.#database.get<{ complete: number; uploaded: number }>(
        `SELECT COALESCE(MIN(uploaded), 0) AS complete, COALESCE(SUM(uploaded), 0) AS uploaded FROM (
           SELECT COUNT(r.id) AS uploaded FROM chunks c LEFT JOIN replicas r
             ON r.transfer_id = c.transfer_id AND r.chunk = c.number AND r.state = 'uploaded'
           WHERE c.transfer_id = ? GROUP BY c.number)`,
        transferId,
      ) ?? { complete: 0, uploaded: 0 }
    );
  }

  /** The visible send with this replica, unless it counts as bad. */
  sendWith({
    server,
    accessId,
    accessKey,
  }: {
    readonly server: string;
    readonly accessId: Uint8Array;
    readonly accessKey: Uint8Array;
  }): string | undefined {
    return this.#database.get<{ id: string }>(
      `SELECT t.id FROM replicas r JOIN transfers t ON t.id = r.transfer_id
         WHERE r.server = ? AND r.access_id = ? AND r.access_key = ? AND r.state <> 'bad'
           AND t.direction = 'send' AND t.hidden = 0`,
      server,
      accessId,
      accessKey,
    )?.id;
  }

  /** Of a whole transfer, in the order of the chunks; the bad ones too if asked. */
  replicas(transferId: string, options: { readonly withBad?: boolean } = {}): ReplicaRow[] {
    return this.#database.all<ReplicaRow>(
      `SELECT * FROM replicas WHERE transfer_id = ? ${options.withBad === true ? '' : "AND state <> 'bad'"}
       ORDER BY chunk, id`,
      transferId,
    );
  }

  /** Nothing of a transfer is downloaded from this server any more. */
  distrust(transferId: string, server: string): void {
    this.#database.run(
      "UPDATE replicas SET state = 'bad' WHERE transfer_id = ? AND server = ?",
      transferId,
      server,
    );
  }

  /** Makes all replicas usable again, for another try of a receive. */
  forgiveReplicas(transferId: string): void {
    this.#database.run(
      "UPDATE replicas SET state = 'usable' WHERE transfer_id = ? AND state = 'bad'",
      transferId,
    );
  }

  addRecipients(replicaId: number, firstNumber: number, keys: readonly Uint8Array[]): void {
    for (const [index, key] of keys.entries())
      this.#database.run(
        'INSERT INTO recipients (replica_id, number, access_key) VALUES (?, ?, ?)',
        replicaId,
        firstNumber + index,
        key,
      );
  }

  setRecipientIds(
    replicaId: number,
    recipients: readonly { readonly number: number; readonly id: Uint8Array }[],
  ): void {
    for (const { number, id } of recipients)
      this.#database.run(
        'UPDATE recipients SET access_id = ? WHERE replica_id = ? AND number = ?',
        id,
        replicaId,
        number,
      );
  }

  /** Recipients of a replica by number; only those that the relay does not know yet if asked. */
  recipients(replicaId: number, options: { readonly unregistered?: boolean } = {}): RecipientRow[] {
    return this.#database.all<RecipientRow>(
      `SELECT * FROM recipients WHERE replica_id = ? ${options.unregistered === true ? 'AND access_id IS NULL' : ''}
       ORDER BY number`,
      replicaId,
    );
  }

  /**
   * The sender's access to each replica of a transfer, uploaded ones of a chunk first, then those that are registered:
   * their upload is still to come.
   */
  senderAccess(transferId: string): ReplicaAccess[] {
    return this.#database.all(
      `SELECT chunk, server, access_id AS id, access_key AS key FROM replicas
       WHERE transfer_id = ? AND state IN ('uploaded', 'registered') AND access_id IS NOT NULL
       ORDER BY chunk, state = 'registered', id`,
      transferId,
    );
  }

  /** The same for one recipient. */
  recipientAccess(transferId: string, number: number): ReplicaAccess[] {
    return this.#database.all(
      `SELECT replicas.chunk AS chunk, replicas.server AS server, recipients.access_id AS id,
         recipients.access_key AS key
       FROM replicas JOIN recipients ON recipients.replica_id = replicas.id
       WHERE replicas.transfer_id = ? AND replicas.state IN ('uploaded', 'registered')
         AND recipients.number = ? AND recipients.access_id IS NOT NULL
       ORDER BY replicas.chunk, replicas.state = 'registered', replicas.id`,
      transferId,
      number,
    );
  }

  #insert(
    transferId: string,
    number: number,
    {
      offset,
      size,
      digest,
    }: { readonly offset: number; readonly size: number; readonly digest?: Uint8Array },
  ): void {
    this.#database.run(
      "INSERT INTO chunks (transfer_id, number, offset, size, digest, state) VALUES (?, ?, ?, ?, ?, 'pending')",
      transferId,
      number,
      offset,
      size,
      digest ?? null,
    );
  }
}
