import { CHUNK_SIZES, MAX_CHUNK_SIZE } from '../protocol/index.js';
import type { Clock } from './clock.js';

/** How long what was found out about a way holds, in ms: links get better, and large chunks are cheaper. */
const MEMORY_MS = 30 * 60_000;

/** What was found out about the way to one server. */
interface Finding {
  readonly size: number;
  /** Monotonic time. */
  readonly at: number;
}

/** How large chunks may be to get to each server before the way there breaks. Forgotten after half an hour. */
export class ChunkFit {
  readonly #clock: Clock;
  readonly #findings = new Map<string, Finding>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Largest chunk that the way to a server has not been found too short for, in bytes. */
  most(server: string): number {
    const finding = this.#findings.get(server);
    if (finding === undefined) return MAX_CHUNK_SIZE;
    if (this.#clock.monotonic() - finding.at < MEMORY_MS) return finding.size;
    this.#findings.delete(server);
    return MAX_CHUNK_SIZE;
  }

  /**
   * A chunk did not get through.
   *
   * @param size its bytes
   * @param moved most bytes of it that were under way when the way broke
   */
  tooLarge(server: string, { size, moved }: { readonly size: number; readonly moved: number }): void {
    const smaller = CHUNK_SIZES.filter((other) => other < size);
    const fitting = smaller.findLast((other) => other <= moved) ?? smaller[0];
    if (fitting !== undefined) this.#findings.set(server, { size: fitting, at: this.#clock.monotonic() });
  }
}
