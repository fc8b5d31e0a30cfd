import { STREAM_WINDOW, WIDE_STREAM_WINDOW, WIDE_UPLOAD_COST, WIDEN_AFTER, WIDEN_MS } from './limits.js';

/** The connection of an upload. */
export interface UploadConnection {
  /** Lets the client send so many bytes on each stream before the relay has read them. */
  readonly setStreamWindow: (bytes: number) => void;
}

/** The place of a body that is being received. */
export interface UploadSlot {
  /** Told of bytes of the body as they come. */
  readonly received: (bytes: number) => void;
  /** Called once, at the end. */
  readonly free: () => void;
}

interface Uploads {
  count: number;
  isWide: boolean;
}

/**
 * Counts the bodies that are being received, in all and for each connection. A client that sends fast gets a wide
 * window, so that a long link stays full; its uploads then count as several, since each may take so much more memory.
 */
export class UploadSlots {
  readonly #total: number;
  readonly #perConnection: number;
  readonly #now: () => number;
  readonly #uploads = new WeakMap<UploadConnection, Uploads>();
  #taken = 0;

  /** @param now monotonic time in ms */
  constructor(total: number, perConnection: number, now: () => number = () => performance.now()) {
    this.#total = total;
    this.#perConnection = perConnection;
    this.#now = now;
  }

  /** Takes a slot; undefined when there is none. */
  take(connection: UploadConnection): UploadSlot | undefined {
    const own = this.#uploads.get(connection) ?? { count: 0, isWide: false };
    if (this.#taken + costOf(own) > this.#total || own.count >= this.#perConnection) return undefined;
    this.#uploads.set(connection, own);
    this.#taken += costOf(own);
    own.count += 1;
    const start = this.#now();
    let length = 0;
    return {
      received: (bytes) => {
        const before = length;
        length += bytes;
        if (before < WIDEN_AFTER && length >= WIDEN_AFTER && this.#now() - start < WIDEN_MS)
          this.#widen(connection, own);
      },
      free: () => {
        own.count -= 1;
        this.#taken -= costOf(own);
        if (own.count === 0 && own.isWide && this.#isCrowded(0)) {
          own.isWide = false;
          connection.setStreamWindow(STREAM_WINDOW);
        }
      },
    };
  }

  #widen(connection: UploadConnection, own: Uploads): void {
    const more = own.count * (WIDE_UPLOAD_COST - 1);
    if (own.isWide || this.#isCrowded(more)) return;
    own.isWide = true;
    this.#taken += more;
    connection.setStreamWindow(WIDE_STREAM_WINDOW);
  }

  /** Whether, with so many more slots taken, less than half of them would be left for new uploads. */
  #isCrowded(more: number): boolean {
    return this.#taken + more > this.#total / 2;
  }
}

function costOf({ isWide }: Uploads): number {
  return isWide ? WIDE_UPLOAD_COST : 1;
}
