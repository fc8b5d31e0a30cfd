import type { ClientHttp2Stream } from 'node:http2';

import { type Pacing, whenPaid } from './pace.js';

/** What a slow path is handed at once, in bytes: so little that progress shows, and that it is told from a stall. */
const SMALLEST_PIECE = 64 * 1024;
/** What a fast path is handed at once, in bytes: each piece costs time, however large, and copies of it take memory. */
const LARGEST_PIECE = 256 * 1024;
/** A piece that left within this time is followed by a larger one, in ms. */
const QUICK_MS = 200;
/** After a piece that took longer come small ones again, in ms. */
const SLOW_MS = 1000;

/** Writes block and body with back-pressure, and ends the stream early when it is told to stop. */
export class BodySender {
  readonly #stream: ClientHttp2Stream;
  readonly #block: Uint8Array | undefined;
  readonly #body: Uint8Array;
  readonly #onSent: (bytes: number) => void;
  readonly #pace: Pacing | undefined;
  #pieceSize = SMALLEST_PIECE;
  #sent = 0;
  #stopped = false;
  #endWait: () => void = () => undefined;

  /** @param onSent called with the bytes of the body sent so far, also while they wait for their turn */
  constructor(
    stream: ClientHttp2Stream,
    { block, body = new Uint8Array() }: { readonly block?: Uint8Array; readonly body?: Uint8Array },
    onSent: (bytes: number) => void,
    pace: Pacing | undefined,
  ) {
    this.#stream = stream;
    this.#block = block;
    this.#body = body;
    this.#onSent = onSent;
    this.#pace = pace;
  }

  /** Starts to send; a request without a block has nothing to send. */
  start(): void {
    if (this.#block === undefined) return;
    if (this.#body.length === 0) this.#end(this.#block);
    else
      this.#stream.write(this.#block, () => {
        this.#writeNext();
      });
  }

  /** Ends the request body where it stands. The relay sees a body that is too short, and the session stays whole. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#endWait();
    if (this.#block !== undefined) this.#end();
  }

  #writeNext(): void {
    if (this.#stopped || this.#stream.destroyed) return;
    if (this.#sent > 0) this.#onSent(this.#sent);
    const length = this.#pace?.pieceSize(this.#pieceSize) ?? this.#pieceSize;
    const piece = this.#body.subarray(this.#sent, this.#sent + length);
    if (this.#pace === undefined) this.#write(piece);
    else
      // Counted before it moves: else each of many requests would be a piece ahead.
      this.#endWait = whenPaid(
        this.#pace,
        piece.length,
        () => {
          this.#write(piece);
        },
        () => {
          this.#onSent(this.#sent);
        },
      );
  }

  #write(piece: Uint8Array): void {
    if (this.#stopped || this.#stream.destroyed) return;
    this.#sent += piece.length;
    const start = performance.now();
    if (this.#sent < this.#body.length)
      this.#stream.write(piece, () => {
        this.#adapt(performance.now() - start);
        this.#writeNext();
      });
    else {
      this.#end(piece, (error) => {
        // Also called when the stream ends before the piece has left.
        if (error === undefined || error === null) this.#onSent(this.#sent);
      });
    }
  }

  #adapt(tookMs: number): void {
    if (tookMs > SLOW_MS) this.#pieceSize = SMALLEST_PIECE;
    else if (tookMs < QUICK_MS) this.#pieceSize = Math.min(2 * this.#pieceSize, LARGEST_PIECE);
  }

  #end(piece?: Uint8Array, onFlushed?: (error?: Error | null) => void): void {
    this.#stopped = true;
    if (this.#stream.destroyed || this.#stream.writableEnded) return;
    if (piece === undefined) this.#stream.end();
    else this.#stream.end(piece, onFlushed);
  }
}
