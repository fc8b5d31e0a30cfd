/** A piece of the storage quota, held by an upload or by a stored body. */
export interface Reservation {
  /** Gives the bytes back, unless they were kept; only the first call counts. */
  release(): void;
  /** Turns the bytes into those of a stored body: `release` does nothing from now on. */
  keep(): void;
}

/** How much of the storage is used by stored bodies and by uploads under way. */
export class StorageQuota {
  readonly #limit: number;
  /** Places of bodies that records know of and that take no room: missing at the start, or removed. */
  readonly #gone: Set<string>;
  #used: number;

  /**
   * @param limit bytes, or undefined for no limit
   * @param used bytes of the bodies that are there already
   * @param missing places of bodies that should be there and are not
   */
  constructor(limit: number | undefined, used: number, missing: Iterable<string> = []) {
    this.#limit = limit ?? Infinity;
    this.#used = used;
    this.#gone = new Set(missing);
  }

  /** Bytes that may be used; undefined for no limit. */
  get limit(): number | undefined {
    return this.#limit === Infinity ? undefined : this.#limit;
  }

  /** Bytes stored and reserved. */
  get used(): number {
    return this.#used;
  }

  /** Holds `size` bytes for an upload; undefined if they are not free. */
  reserve(size: number): Reservation | undefined {
    if (this.#used + size > this.#limit) return undefined;
    this.#used += size;
    let held = true;
    return {
      release: (): void => {
        if (held) this.#used -= size;
        held = false;
      },
      keep: (): void => {
        held = false;
      },
    };
  }

  /** Gives back the bytes of a body that is not there any more, however it went; once, until its place is forgotten. */
  free(place: string, size: number): void {
    if (this.#gone.has(place)) return;
    this.#gone.add(place);
    this.#used -= size;
  }

  /** No record knows of this place any more. */
  forget(place: string): void {
    this.#gone.delete(place);
  }
}
