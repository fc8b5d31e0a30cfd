import type { Clock } from './clock.js';
import type { ProgressEvent, TransferState } from './model.js';

/** Time between two progress events of a transfer, in ms: at most four a second. */
const INTERVAL_MS = 250;
/** Over so long the speed is smoothed, in ms: steady to look at, and it follows a change within seconds. */
const SMOOTHING_MS = 3000;

interface Track {
  state: TransferState;
  total: number;
  done: number;
  /** Bytes of chunks under way, by whoever moves them. */
  readonly moving: Map<number, number>;
  /** Bytes moved since the track began, for the speed: unlike the bytes done it only grows. */
  moved: number;
  lastMoved: number;
  lastAt: number;
  speed: number;
  lastShown: number;
}

/** Follows the bytes of the transfers under way and tells of them a few times a second. */
export class ProgressTracker {
  readonly #clock: Clock;
  readonly #emit: (event: ProgressEvent) => void;
  readonly #tracks = new Map<string, Track>();
  #timer: NodeJS.Timeout | undefined;

  constructor(clock: Clock, emit: (event: ProgressEvent) => void) {
    this.#clock = clock;
    this.#emit = emit;
  }

  /** Begins or goes on with a transfer. */
  update(id: string, { state, total, done }: { state: TransferState; total: number; done: number }): void {
    const track = this.#tracks.get(id);
    if (track === undefined)
      this.#tracks.set(id, {
        state,
        total,
        done,
        moving: new Map(),
        moved: 0,
        lastMoved: 0,
        lastAt: this.#clock.monotonic(),
        speed: 0,
        lastShown: -1,
      });
    else Object.assign(track, { state, total, done });
    this.#timer ??= setInterval(() => {
      this.#tick();
    }, INTERVAL_MS).unref();
  }

  /** Bytes of chunk `number` that have moved so far; 0 when it starts anew or is done. */
  moving(id: string, number: number, bytes: number): void {
    const track = this.#tracks.get(id);
    if (track === undefined) return;
    track.moved += Math.max(0, bytes - (track.moving.get(number) ?? 0));
    if (bytes === 0) track.moving.delete(number);
    else track.moving.set(number, bytes);
  }

  end(id: string): void {
    this.#tracks.delete(id);
    if (this.#tracks.size === 0) this.stop();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    const now = this.#clock.monotonic();
    for (const [id, track] of this.#tracks) {
      const seconds = (now - track.lastAt) / 1000;
      if (seconds <= 0) continue;
      const current = (track.moved - track.lastMoved) / seconds;
      const weight = 1 - Math.exp((-seconds * 1000) / SMOOTHING_MS);
      track.speed = track.speed === 0 ? current : track.speed + weight * (current - track.speed);
      Object.assign(track, { lastMoved: track.moved, lastAt: now });
      this.#show(id, track);
    }
  }

  #show(id: string, track: Track): void {
    const { state, total, done, speed } = track;
    const underWay = [...track.moving.values()].reduce((sum, bytes) => sum + bytes, 0);
    const bytesDone = Math.min(total, done + underWay);
    if (bytesDone === track.lastShown) return;
    track.lastShown = bytesDone;
    const bytesPerSecond = Math.round(speed);
    this.#emit({
      at: this.#clock.now(),
      type: 'transfer.progress',
      transferId: id,
      data: {
        state,
        bytesDone,
        bytesTotal: total,
        bytesPerSecond,
        ...(bytesPerSecond > 0 ? { secondsLeft: Math.ceil((total - bytesDone) / bytesPerSecond) } : {}),
      },
    });
  }
}
