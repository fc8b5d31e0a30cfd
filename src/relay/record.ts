import type { BlockingInfo } from '../protocol/index.js';

/** Length of the relay's sender and recipient IDs, in bytes (protocol reference, section 5.2). */
export const ID_LENGTH = 16;

/** Whether a chunk may be used. `off` is a status of the reference that nothing sets today. */
export type ChunkStatus =
  | { readonly type: 'active' }
  | { readonly type: 'off' }
  | { readonly type: 'blocked'; readonly info: BlockingInfo };

/** One recipient ID of a chunk and the key (SPKI) that authorizes its commands. */
export interface Recipient {
  readonly id: Uint8Array;
  readonly key: Uint8Array;
}

/** What the relay knows of a chunk. Never changed in place: each change makes a new record. */
export interface ChunkRecord {
  readonly senderId: Uint8Array;
  /** SPKI. */
  readonly senderKey: Uint8Array;
  /** Size of the body in bytes. */
  readonly size: number;
  /** SHA-256 of the body. */
  readonly digest: Uint8Array;
  /** Unix time in seconds, rounded down to the hour. */
  readonly createdAt: number;
  readonly status: ChunkStatus;
  /** Where the body lies, as the storage of bodies calls it; undefined before it is uploaded and after it was blocked. */
  readonly place: string | undefined;
}

/** A change of the records, as the store log keeps it (protocol reference, section 11.4). */
export type RecordChange =
  | {
      readonly type: 'FNEW';
      readonly senderId: Uint8Array;
      readonly senderKey: Uint8Array;
      readonly size: number;
      readonly digest: Uint8Array;
      readonly createdAt: number;
      readonly status: ChunkStatus;
    }
  | { readonly type: 'FADD'; readonly senderId: Uint8Array; readonly recipients: readonly Recipient[] }
  | { readonly type: 'FPUT'; readonly senderId: Uint8Array; readonly place: string }
  | { readonly type: 'FDEL'; readonly senderId: Uint8Array }
  | { readonly type: 'FBLK'; readonly senderId: Uint8Array; readonly info: BlockingInfo }
  | { readonly type: 'FACK'; readonly recipientId: Uint8Array };

/** What became of a change: made, an ID is already in use, the ID is not known (any more), or it makes no sense. */
export type ChangeOutcome = 'done' | 'duplicate' | 'unknown' | 'invalid';

/** The hour of a Unix time in seconds: creation times are kept no finer, so that they tell less. */
export function startOfHour(seconds: number): number {
  return Math.floor(seconds / 3600) * 3600;
}
