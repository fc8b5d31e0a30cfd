import { deleteChunk } from './commands/delete-chunk.js';
import type { OwnerServices } from './services.js';

/** Time between two looks for expired chunks, in ms: as the reference relay (protocol reference, section 5.3). */
const EXPIRY_INTERVAL_MS = 2 * 3600 * 1000;
/** Chunks live up to this much longer, in seconds, because their creation time is rounded down to the hour. */
const ROUNDING_SECONDS = 3600;
/** Chunks deleted side by side: they share flushes of the log, and clients get their turn in between. */
const BATCH = 64;

/**
 * Before when a chunk was created that is expired now, in seconds (Unix time): "expired when
 * `createdAt + 3600 < now − ttl`" (section 5.3).
 *
 * @param now in ms
 */
export function expiryBound(now: number, chunkLifeSeconds: number): number {
  return now / 1000 - chunkLifeSeconds - ROUNDING_SECONDS;
}

/** Deletes expired chunks while a relay runs. */
export class Expiry {
  readonly #services: OwnerServices;
  readonly #stopping = new AbortController();
  #deleting = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(services: OwnerServices) {
    this.#services = services;
  }

  /** Begins beside the work for clients: after a long pause there may be much to delete. */
  start(): void {
    void this.expire();
    this.#timer = setInterval(() => void this.expire(), EXPIRY_INTERVAL_MS);
  }

  /** Deletes what is expired now. Never rejects: failures are told. */
  expire(): Promise<void> {
    this.#deleting = this.#deleting
      // Now and then, also when nobody asks for anything, it is seen to that the log is in its place.
      .then(() => this.#services.store.settled())
      .then(() => deleteExpired(this.#services, this.#stopping.signal))
      .catch(this.#services.failed);
    return this.#deleting;
  }

  /** Begins no more deletions. */
  stop(): void {
    clearInterval(this.#timer);
    this.#stopping.abort();
  }

  /** Resolves when the deletions under way are done. */
  settled(): Promise<void> {
    return this.#deleting;
  }
}

/** Chunks that cannot be deleted now are left for the next time. Stops early when `signal` says so. */
async function deleteExpired(services: OwnerServices, signal: AbortSignal): Promise<void> {
  const bound = expiryBound(services.now(), services.policy.chunkLifeSeconds);
  const expired = await services.store.createdBefore(bound);
  for (let start = 0; start < expired.length && !signal.aborted; start += BATCH)
    await Promise.all(
      expired.slice(start, start + BATCH).map(async ({ senderId }) => {
        try {
          await deleteChunk(senderId, 'filesExpired', services);
        } catch (error) {
          services.failed(error);
        }
      }),
    );
}
