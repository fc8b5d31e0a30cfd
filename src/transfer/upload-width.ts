import PQueue from 'p-queue';

import { formatServerAddress, isXftpError, type ServerAddress, type XftpError } from '../protocol/index.js';

/** After so many chunks without a break one more is uploaded at once: relays restart, and links get better. */
const CHUNKS_TO_WIDEN = 8;

/**
 * Whether the way to a relay broke or stood still, or what was on it took longer than the relay allows: as it happens on
 * bad links, and sooner with more on the way at once.
 */
export function isCut({ code, wire }: XftpError): boolean {
  return code === 'CONNECTION_LOST' || code === 'STALLED' || wire === 'TIMEOUT';
}

/** Uploads to one relay. */
interface Way {
  readonly queue: PQueue;
  /** Grows with each break: chunks from before tell nothing about what follows. */
  round: number;
  /** Chunks that got through since the last change. */
  arrived: number;
}

/**
 * How many chunks of a file are uploaded to each relay at once: all that there are, until the way breaks; then half as
 * many, since a few that get through are worth more than many that do not.
 */
export class UploadWidth {
  readonly #ways = new Map<string, Way>();

  /** Runs an upload when its turn has come. Throws what it throws. */
  run<T>(server: ServerAddress, upload: () => Promise<T>): Promise<T> {
    const way = this.#wayTo(server);
    return way.queue.add(async () => {
      const { round } = way;
      try {
        const value = await upload();
        if (round === way.round) arrived(way);
        return value;
      } catch (error) {
        // One break takes all chunks that are on the way.
        if (isXftpError(error) && isCut(error) && round === way.round) broke(way);
        throw error;
      }
    });
  }

  #wayTo(server: ServerAddress): Way {
    const key = formatServerAddress(server);
    const way = this.#ways.get(key) ?? { queue: new PQueue(), round: 0, arrived: 0 };
    this.#ways.set(key, way);
    return way;
  }
}

function arrived(way: Way): void {
  way.arrived += 1;
  if (way.arrived < CHUNKS_TO_WIDEN) return;
  way.arrived = 0;
  way.queue.concurrency += 1;
}

function broke(way: Way): void {
  way.round += 1;
  way.arrived = 0;
  way.queue.concurrency = Math.max(1, Math.floor(way.queue.pending / 2));
}
