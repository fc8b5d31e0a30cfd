import type { Http2Session, ServerHttp2Stream } from 'node:http2';

import { BLOCK_SIZE } from '../protocol/index.js';
import { countReceived } from '../system/index.js';
import { type RelayLimits, UPLOAD_STEP } from './limits.js';

/** How reading a part of a body ended: it is whole, the body ended before, the client is gone, or time is up. */
export type ReadEnd = 'complete' | 'short' | 'lost' | 'timeout';

/** How throwing a body away ended: it is out of the way, the client is gone, or it sends too much or too slowly. */
export type DrainEnd = 'complete' | 'lost' | 'stuck';

/** Takes pieces of a body. False asks to stop until `resume` is called. */
export interface BodySink {
  accept(piece: Buffer): boolean;
}

/** How fast a body has to come. */
export interface BodyPace {
  /** So many bytes, or the end, have to come... */
  readonly bytes: number;
  /** ...within so many ms, again and again. */
  readonly ms: number;
  /** How often the client is told that bytes come, in ms; never unless given. */
  readonly signMs?: number;
}

type Stage =
  | { readonly type: 'idle' }
  | {
      readonly type: 'reading';
      readonly sink: BodySink;
      readonly settle: (end: ReadEnd) => void;
      readonly size: number;
      readonly pace: BodyPace;
    };

/**
 * When the client of a session was told last that bytes come. One PING tells it for all of its uploads, and official
 * programs end connections on which more than four come in a second (protocol reference, section 2.5).
 */
const signedAt = new WeakMap<Http2Session, number>();

/** How fast a chunk has to come, and what a client sends behind a request that is refused. */
export function uploadPace({ uploadSignMs, uploadStallMs }: RelayLimits): BodyPace {
  return { bytes: UPLOAD_STEP, ms: uploadStallMs, signMs: uploadSignMs };
}

/**
 * The body of one request, read in stages: its first block, then a chunk, then whatever is left. Between stages the
 * stream is paused. It is never destroyed here: that would reset the stream, and official clients then drop the whole
 * connection (protocol reference, section 15.4).
 */
export class RequestBody {
  readonly #stream: ServerHttp2Stream;
  /** Received, but not wanted by the last stage. */
  #rest: Buffer[] = [];
  #stage: Stage = { type: 'idle' };
  #taken = 0;
  #ended = false;
  #lost = false;
  #timedOut = false;
  #draining: Promise<DrainEnd> | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #begunAt = performance.now();

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
    stream.on('data', (piece: Buffer) => {
      countReceived(piece.length);
      this.#receive(piece);
    });
    stream.once('end', () => {
      this.#ended = true;
      this.#settleAtEnd();
    });
    const lose = (): void => {
      if (!this.#ended) this.#lost = true;
      this.#settleAtEnd();
    };
    stream.once('aborted', lose);
    stream.once('close', lose);
  }

  /** Whether everything the client sent has been read. */
  get ended(): boolean {
    return this.#ended && this.#rest.length === 0;
  }

  /** Whether the client ended the stream before its body was whole. */
  get lost(): boolean {
    return this.#lost;
  }

  /** The first block, or what there is of it when the body ends early; undefined when the client is gone or slow. */
  async readBlock(deadlineMs: number): Promise<Uint8Array | undefined> {
    // Copied, since a piece of one byte may keep a whole network buffer alive.
    const block = Buffer.allocUnsafeSlow(BLOCK_SIZE);
    let length = 0;
    const sink = {
      accept(piece: Buffer): boolean {
        length += piece.copy(block, length);
        return true;
      },
    };
    const end = await this.read(BLOCK_SIZE, sink, { bytes: BLOCK_SIZE, ms: deadlineMs });
    return end === 'complete' || end === 'short' ? block.subarray(0, length) : undefined;
  }

  /** Hands the next `size` bytes to `sink`; fewer only if the end is not `complete`. */
  read(size: number, sink: BodySink, pace: BodyPace): Promise<ReadEnd> {
    return new Promise((resolve) => {
      const settle = (end: ReadEnd): void => {
        clearTimeout(this.#timer);
        this.#stage = { type: 'idle' };
        this.#stream.pause();
        resolve(end);
      };
      this.#taken = 0;
      this.#stage = { type: 'reading', sink, settle, size, pace };
      this.#timer = setTimeout(() => {
        this.#timedOut = true;
        settle('timeout');
      }, pace.ms);
      const waiting = this.#rest;
      this.#rest = [];
      let flowing = true;
      for (const piece of waiting) flowing = this.#receive(piece) && flowing;
      this.#settleAtEnd();
      if (flowing) this.resume();
    });
  }

  /** Goes on reading after a sink asked to stop. */
  resume(): void {
    if (this.#stage.type === 'reading') this.#stream.resume();
  }

  /**
   * Throws away the rest of the body, so that the response can end without a reset. `stuck`: it goes on behind
   * `limit` bytes, or comes too slowly; who was too slow once is not waited for again. The first call begins it,
   * others wait for the same end.
   */
  drain(limit: number, pace: BodyPace): Promise<DrainEnd> {
    return (this.#draining ??= this.#drain(limit, pace));
  }

  async #drain(limit: number, pace: BodyPace): Promise<DrainEnd> {
    if (this.ended) return 'complete';
    if (this.#lost) return 'lost';
    if (this.#timedOut) return 'stuck';
    const end = await this.read(limit + 1, { accept: () => true }, pace);
    if (end === 'short') return 'complete';
    return end === 'lost' ? 'lost' : 'stuck';
  }

  #receive(piece: Buffer): boolean {
    const stage = this.#stage;
    if (stage.type === 'idle') {
      this.#rest.push(piece);
      this.#stream.pause();
      return false;
    }
    const wanted = piece.subarray(0, stage.size - this.#taken);
    const steps = Math.floor(this.#taken / stage.pace.bytes);
    this.#taken += wanted.length;
    if (Math.floor(this.#taken / stage.pace.bytes) > steps) this.#timer?.refresh();
    this.#giveSign(stage.pace);
    const more = wanted.length === 0 || stage.sink.accept(wanted);
    if (wanted.length < piece.length) this.#rest.push(piece.subarray(wanted.length));
    if (this.#taken === stage.size) stage.settle('complete');
    else if (!more) this.#stream.pause();
    return more;
  }

  /**
   * Node tells a client only of every half window of bytes that come. On a slow link that takes so long that clients
   * would give up: a PING tells them before.
   */
  #giveSign({ signMs }: BodyPace): void {
    const { session } = this.#stream;
    if (signMs === undefined || session === undefined || session.destroyed) return;
    const now = performance.now();
    if (now - Math.max(signedAt.get(session) ?? 0, this.#begunAt) < signMs) return;
    signedAt.set(session, now);
    session.ping(() => undefined);
  }

  #settleAtEnd(): void {
    if (this.#stage.type !== 'reading') return;
    if (this.#lost) this.#stage.settle('lost');
    else if (this.ended) this.#stage.settle('short');
  }
}
