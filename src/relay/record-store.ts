import { MAX_RECIPIENTS } from './limits.js';
import type { ChangeOutcome, ChunkRecord, RecordChange } from './record.js';
import type { RecipientEntry, RecordTable, StoredBodies } from './record-table.js';
import type { ChangeJournal } from './store-log.js';

/** What became of a change: `full` when the chunk would have more than {@link MAX_RECIPIENTS}. */
export type StoreOutcome = ChangeOutcome | 'full';

/** The relay's records. Everything is asynchronous, so that a database can stand behind it. */
export interface RecordStore {
  bySender(senderId: Uint8Array): Promise<ChunkRecord | undefined>;
  byRecipient(recipientId: Uint8Array): Promise<RecipientEntry | undefined>;
  /**
   * Makes all changes or none, and resolves when they will survive a crash. The outcome is that of the first change
   * that could not be made. Rejects when they cannot be made durable.
   */
  change(...changes: readonly RecordChange[]): Promise<StoreOutcome>;
  /** Resolves when every change made so far will survive a crash. */
  settled(): Promise<void>;
  /** Records created before a time (Unix, in seconds). */
  createdBefore(time: number): Promise<readonly ChunkRecord[]>;
  /** Number and bytes of all bodies that are stored. */
  stored(): Promise<StoredBodies>;
  close(): Promise<void>;
}

/** Records in memory, with a journal that can bring them back. */
export class MemoryRecordStore implements RecordStore {
  readonly #table: RecordTable;
  readonly #journal: ChangeJournal;
  #journalFailed = false;

  constructor(table: RecordTable, journal: ChangeJournal) {
    this.#table = table;
    this.#journal = journal;
  }

  bySender(senderId: Uint8Array): Promise<ChunkRecord | undefined> {
    return Promise.resolve(this.#table.bySender(senderId));
  }

  byRecipient(recipientId: Uint8Array): Promise<RecipientEntry | undefined> {
    return Promise.resolve(this.#table.byRecipient(recipientId));
  }

  async change(...changes: readonly RecordChange[]): Promise<StoreOutcome> {
    // While the disk takes no lines, memory takes no changes: else a full disk would fill the memory too.
    if (this.#journalFailed) await this.settled();
    const outcome = this.#apply(changes);
    if (outcome === 'done') await this.#watch(this.#journal.append(changes));
    return outcome;
  }

  settled(): Promise<void> {
    return this.#watch(this.#journal.settled());
  }

  createdBefore(time: number): Promise<readonly ChunkRecord[]> {
    const found: ChunkRecord[] = [];
    for (const record of this.#table.records()) if (record.createdAt < time) found.push(record);
    return Promise.resolve(found);
  }

  stored(): Promise<StoredBodies> {
    return Promise.resolve(this.#table.stored);
  }

  close(): Promise<void> {
    return this.#journal.close();
  }

  #apply(changes: readonly RecordChange[]): StoreOutcome {
    const [first] = changes;
    for (const change of changes) {
      // Here rather than in the table, which takes whatever a log of the reference holds.
      if (change.type === 'FADD' && this.#recipientsWith(change) > MAX_RECIPIENTS) return 'full';
      const outcome = this.#table.apply(change);
      if (outcome === 'done') continue;
      // The only changes made together are a new chunk and its recipients.
      if (change !== first && first?.type === 'FNEW')
        this.#table.apply({ type: 'FDEL', senderId: first.senderId });
      return outcome;
    }
    return 'done';
  }

  #recipientsWith({ senderId, recipients }: Extract<RecordChange, { type: 'FADD' }>): number {
    return this.#table.recipientCount(senderId) + recipients.length;
  }

  async #watch(durable: Promise<void>): Promise<void> {
    try {
      await durable;
      this.#journalFailed = false;
    } catch (error) {
      this.#journalFailed = true;
      throw error;
    }
  }
}
