import type { Response } from '../protocol/index.js';
import type { ChunkRecord } from './record.js';
import type { RecordStore } from './record-store.js';
import type { RecipientEntry } from './record-table.js';

/** A chunk to be registered, as a client asks for it. */
export interface NewChunk {
  /** SPKI. */
  readonly senderKey: Uint8Array;
  /** Of the body, in bytes. */
  readonly size: number;
  /** SHA-256 of the body. */
  readonly digest: Uint8Array;
  /** SPKI, one for each recipient. */
  readonly recipientKeys: readonly Uint8Array[];
  /** As it travels; undefined when the client gives none. */
  readonly password: Uint8Array | undefined;
}

/** What asking for an upload leads to: a ticket, under whose name the body is received, or a refusal. */
export type UploadStart = { readonly ticket: string } | { readonly refusal: Response };

/**
 * Who has the records, and with them everything that is counted: quota, registrations, statistics. There is one in a
 * relay; connections may be served in other processes, so whatever goes in and comes out is plain data, and what is
 * given in is not kept.
 */
export interface RecordOwner {
  /** The record as it is now. */
  bySender(senderId: Uint8Array): Promise<ChunkRecord | undefined>;
  byRecipient(recipientId: Uint8Array): Promise<RecipientEntry | undefined>;
  /** FNEW. @param client what it is counted by; undefined if it is not counted */
  create(chunk: NewChunk, client: string | undefined): Promise<Response>;
  /** FADD, with a key (SPKI) for each recipient. */
  addRecipients(senderId: Uint8Array, keys: readonly Uint8Array[]): Promise<Response>;
  /** Holds the room for a body. Whoever has the ticket commits or abandons it. */
  beginUpload(senderId: Uint8Array, client: string | undefined): Promise<UploadStart>;
  /** Makes the body that was received under the ticket's name, complete and right, that of its chunk. Ends the ticket. */
  commitUpload(ticket: string): Promise<Response>;
  /** Gives the room back, and removes what was received. Ends the ticket. */
  abandonUpload(ticket: string): Promise<void>;
  /** FDEL. */
  deleteChunk(senderId: Uint8Array): Promise<Response>;
  /** FACK. */
  acknowledge(recipientId: Uint8Array): Promise<Response>;
  /** Counts a download that has begun. */
  countDownload(senderId: Uint8Array): void;
  /** Resolves when everything that has changed will survive a crash. */
  settled: RecordStore['settled'];
}
