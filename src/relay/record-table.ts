import { encodeBase64Url, MAX_RECIPIENT_KEYS } from '../protocol/index.js';
import type { ChangeOutcome, ChunkRecord, Recipient, RecordChange } from './record.js';

interface Row {
  record: ChunkRecord;
  /** Recipients by the text of their ID, in the order they were added. */
  readonly recipients: Map<string, Recipient>;
}

/** A recipient's chunk and the key that its commands must be authorized with. */
export interface RecipientEntry {
  readonly record: ChunkRecord;
  readonly recipient: Recipient;
}

/** Bodies that are stored. */
export interface StoredBodies {
  readonly count: number;
  readonly bytes: number;
}

/** All records in memory, found by sender ID and by recipient ID. Synchronous; knows nothing of logs and files. */
export class RecordTable {
  readonly #rows = new Map<string, Row>();
  readonly #senderOf = new Map<string, string>();
  #bodies = 0;
  #bodyBytes = 0;

  /** Number of chunks. */
  get size(): number {
    return this.#rows.size;
  }

  /** The bodies of all chunks that have one. */
  get stored(): StoredBodies {
    return { count: this.#bodies, bytes: this.#bodyBytes };
  }

  bySender(senderId: Uint8Array): ChunkRecord | undefined {
    return this.#rows.get(encodeBase64Url(senderId))?.record;
  }

  byRecipient(recipientId: Uint8Array): RecipientEntry | undefined {
    const id = encodeBase64Url(recipientId);
    const sender = this.#senderOf.get(id);
    const row = sender === undefined ? undefined : this.#rows.get(sender);
    const recipient = row?.recipients.get(id);
    return row === undefined || recipient === undefined ? undefined : { record: row.record, recipient };
  }

  /** How many recipients a chunk has; none when it is not known. */
  recipientCount(senderId: Uint8Array): number {
    return this.#rows.get(encodeBase64Url(senderId))?.recipients.size ?? 0;
  }

  /** All records, in no particular order. */
  *records(): Generator<ChunkRecord> {
    for (const row of this.#rows.values()) yield row.record;
  }

  /** The fewest changes that make this table, ordered by sender ID. */
  *changes(): Generator<RecordChange> {
    const ordered = [...this.#rows.values()].sort((a, b) =>
      Buffer.compare(a.record.senderId, b.record.senderId),
    );
    for (const { record, recipients } of ordered) {
      const { senderId, senderKey, size, digest, createdAt, status, place } = record;
      yield { type: 'FNEW', senderId, senderKey, size, digest, createdAt, status };
      const all = [...recipients.values()];
      for (let start = 0; start < all.length; start += MAX_RECIPIENT_KEYS)
        yield { type: 'FADD', senderId, recipients: all.slice(start, start + MAX_RECIPIENT_KEYS) };
      if (place !== undefined) yield { type: 'FPUT', senderId, place };
    }
  }

  /** Makes one change, or none at all if the outcome is not `done`. */
  apply(change: RecordChange): ChangeOutcome {
    switch (change.type) {
      case 'FNEW':
        return this.#create(change);
      case 'FADD':
        return this.#withRow(change.senderId, (row, id) => this.#addRecipients(row, id, change.recipients));
      case 'FPUT':
        return this.#withRow(change.senderId, (row) => {
          // The body of a blocked chunk is gone; a compacted log of the reference may still name its place.
          if (row.record.status.type !== 'blocked') this.#setPlace(row, change.place);
          return 'done';
        });
      case 'FDEL':
        return this.#withRow(change.senderId, (row, id) => {
          for (const recipient of row.recipients.keys()) this.#senderOf.delete(recipient);
          this.#setPlace(row, undefined);
          this.#rows.delete(id);
          return 'done';
        });
      case 'FBLK':
        return this.#withRow(change.senderId, (row) => {
          this.#setPlace(row, undefined);
          row.record = { ...row.record, status: { type: 'blocked', info: change.info } };
          return 'done';
        });
      case 'FACK':
        return this.#removeRecipient(encodeBase64Url(change.recipientId));
    }
  }

  /** Forgets where a body lies, as if it had never been uploaded. */
  forgetBody(senderId: Uint8Array): void {
    this.#withRow(senderId, (row) => {
      this.#setPlace(row, undefined);
      return 'done';
    });
  }

  #setPlace(row: Row, place: string | undefined): void {
    const { record } = row;
    const change = Number(place !== undefined) - Number(record.place !== undefined);
    this.#bodies += change;
    this.#bodyBytes += change * record.size;
    row.record = { ...record, place };
  }

  #create(change: Extract<RecordChange, { type: 'FNEW' }>): ChangeOutcome {
    if (change.size <= 0) return 'invalid';
    const id = encodeBase64Url(change.senderId);
    if (this.#rows.has(id)) return 'duplicate';
    const { senderId, senderKey, size, digest, createdAt, status } = change;
    this.#rows.set(id, {
      record: { senderId, senderKey, size, digest, createdAt, status, place: undefined },
      recipients: new Map(),
    });
    return 'done';
  }

  #addRecipients(row: Row, sender: string, recipients: readonly Recipient[]): ChangeOutcome {
    const added = new Map(recipients.map((recipient) => [encodeBase64Url(recipient.id), recipient]));
    if (added.size !== recipients.length) return 'duplicate';
    for (const id of added.keys()) if (this.#senderOf.has(id)) return 'duplicate';
    for (const [id, recipient] of added) {
      row.recipients.set(id, recipient);
      this.#senderOf.set(id, sender);
    }
    return 'done';
  }

  #removeRecipient(id: string): ChangeOutcome {
    const sender = this.#senderOf.get(id);
    if (sender === undefined) return 'unknown';
    this.#senderOf.delete(id);
    this.#rows.get(sender)?.recipients.delete(id);
    return 'done';
  }

  #withRow(senderId: Uint8Array, change: (row: Row, id: string) => ChangeOutcome): ChangeOutcome {
    const id = encodeBase64Url(senderId);
    const row = this.#rows.get(id);
    return row === undefined ? 'unknown' : change(row, id);
  }
}
