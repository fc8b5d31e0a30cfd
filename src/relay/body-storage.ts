/**
 * Where chunk bodies lie. The relay knows of a stored body only its `place`, a text of the storage's own, which the store
 * log keeps. A body that is being received has a name instead, which the relay chooses: 24 characters of base64url.
 *
 * Methods reject as the storage fails: with the system's error, so that a full disk can be told from others.
 */
export interface BodyStorage {
  /** Begins to receive a body. Costs nothing until its first bytes come. */
  receive(name: string): BodyWriter;
  /** Removes what there is of a body that was not committed, whoever has received it; does nothing if there is nothing. */
  abandon(name: string): Promise<void>;
  /**
   * Makes a complete body that of a chunk, and gives its place; resolves when that will survive a crash. A body that
   * the chunk had before is replaced. When it rejects the chunk has no body.
   */
  commit(name: string, senderId: Uint8Array): Promise<string>;
  /** Where `commit` puts the body of a chunk. */
  placeOf(senderId: Uint8Array): string;
  /** Opens a stored body; undefined if it is missing or has another size, in bytes, than its record says. */
  open(place: string, size: number): Promise<BodyReader | undefined>;
  /** Removes a stored body; does nothing if it is not there. Whoever reads it at the moment may go on. */
  remove(place: string): Promise<void>;
  /** All stored bodies, whatever the records say of them. */
  list(): Promise<readonly ListedBody[]>;
  /** When a stored body was committed or put here, in seconds (Unix time); undefined if it is not there any more. */
  storedAt(place: string): Promise<number | undefined>;
  /** Those of some bodies that are there. */
  present<T extends { readonly place: string }>(bodies: Iterable<T>): AsyncIterable<T>;
  /** The place that a body would have here, given one that it had before the storage was moved, or has here. */
  placeHere(place: string): string;
  /**
   * Removes all bodies that were not committed, before any is received, and gives their number.
   *
   * @throws XftpError CANCELLED, and as the storage fails
   */
  removeUnfinished(signal?: AbortSignal): Promise<number>;
}

/** A body that is being received. One call at a time. */
export interface BodyWriter {
  /** Adds bytes to the end, which must not change until it has resolved. */
  write(pieces: readonly Uint8Array[]): Promise<void>;
  /** Says that the body is complete: it can be committed now, and is not written to any more. */
  finish(): Promise<void>;
  /** Ends the writing and removes what was written, unless it was committed; never rejects. */
  abandon(): Promise<void>;
}

/** A stored body that is being read. */
export interface BodyReader {
  /** Fills a buffer with the bytes from a position on; false when there are not as many. */
  read(into: Uint8Array, position: number): Promise<boolean>;
  /** To be called once, when nothing is read any more. */
  close(): Promise<void>;
}

/** A body that a storage holds. */
export interface ListedBody {
  readonly senderId: Uint8Array;
  readonly place: string;
}

/** Random bytes of the name of a body that is being received. */
export const INCOMING_NAME_LENGTH = 18;
