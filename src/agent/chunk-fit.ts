import { CHUNK_SIZES, MAX_CHUNK_SIZE } from '../protocol/index.js';
import type { Clock } from './clock.js';

/** How often the way may break under a chunk, with none of its size getting through between, until it is too large. */
const MAX_CUTS = 2;
/** How long what was found out about a way holds, in ms: links get better, and large chunks are cheaper. */
const MEMORY_MS = 30 * 60_000;

/** What was found out about the way to one server. */
interface Finding {
  readonly size: number;
  /** Monotonic time. */
  readonly at: number;
}

/** Chunks of one size under which the way broke, since one of them got through. */
interface Cuts {
  readonly count: number;
  /** Most bytes of one that were under way. */
  readonly farthest: number;
}

/** How large chunks may be to get to each server before the way there breaks. Forgotten after half an hour. */
export class ChunkFit {
  readonly #clock: Clock;
  readonly #findings = new Map<string, Finding>();
  /** By server and size. */
  readonly #cuts = new Map<string, Map<number, Cuts>>();

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

  /** A chunk of so many bytes got through: smaller ones do, too. */
  arrived(server: string, size: number): void {
    const cuts = this.#cuts.get(server);
    if (cuts === undefined) return;
    for (const other of cuts.keys()) if (other <= size) cuts.delete(other);
    if (cuts.size === 0) this.#cuts.delete(server);
  }

  /**
   * The way broke under a chunk that had it for itself since it broke before: the chunk may be too large for it.
   *
   * @param size its bytes
   * @param moved how many of them were under way
   */
  cut(server: string, { size, moved }: { readonly size: number; readonly moved: number }): void {
    const cuts = this.#cuts.get(server) ?? new Map<number, Cuts>();
    this.#cuts.set(server, cuts);
    const before = cuts.get(size) ?? { count: 0, farthest: 0 };
    const now = { count: before.count + 1, farthest: Math.max(before.farthest, moved) };
    cuts.set(size, now);
    if (now.count < MAX_CUTS) return;
    cuts.delete(size);
    const smaller = CHUNK_SIZES.filter((other) => other < size);
    const fitting = smaller.findLast((other) => other <= now.farthest) ?? smaller[0];
    if (fitting !== undefined) this.#findings.set(server, { size: fitting, at: this.#clock.monotonic() });
  }
}
