import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import type { TLSSocket } from 'node:tls';

import { BLOCK_SIZE, XftpError } from '../protocol/index.js';
import { afterEvents, hasPeer } from '../system/index.js';
import { StallTimer } from './deadlines.js';
import type { Pace } from './pace.js';
import { cancelled, connectionLost, stalled, throwIfAborted } from './network-failure.js';
import { countReceived } from './young-collection.js';

/** One chunk and more in flight per stream, so that long fat links stay full, in bytes. */
const STREAM_WINDOW = 8 * 1024 * 1024;
/** Window of the whole connection. What arrives goes straight into buffers of known size, so this costs no memory. */
const CONNECTION_WINDOW = 64 * 1024 * 1024;
/** Node's limit on memory of a session, in MB: its default breaks several chunks side by side. */
const MAX_SESSION_MEMORY_MB = 256;
/** Bytes handed to HTTP/2 at once: large enough to be cheap, small enough to tell a slow link (4 KiB/s) from a stall. */
const WRITE_SIZE = 256 * 1024;

/** How often a connection in use is asked whether its other side is still there, in ms. */
const PEER_CHECK_MS = 1000;
/** How long an abandoned connection may be quiet, in ms: long enough for an answer on a slow circuit. */
const ABANDONED_MS = 5000;
/** Shorter waits than a timer can measure well are left for later, in ms. */
const MIN_WAIT_MS = 5;

/** What a channel needs to know. */
export interface ChannelOptions {
  /** Host name for the requests. */
  readonly authority: string;
  /** `host:port` of the relay, for messages. */
  readonly place: string;
  /** Longest time without a byte in either direction while a request is under way, in ms. */
  readonly stallMs: number;
  /** Longest time without a byte from the relay after a failed upload, in ms. */
  readonly abandonedMs?: number;
}

/** One request of the protocol. */
export interface Exchange {
  /** The command block; none for the native hello. */
  readonly block?: Uint8Array;
  /** Bytes that follow the block (a chunk). They must not change until `onBodyReleased`. */
  readonly body?: Uint8Array;
  /** Called exactly once, when the connection no longer needs `body`. */
  readonly onBodyReleased?: () => void;
  /** Where the bytes after the response block go. More bytes than fit are a failure. */
  readonly into?: Uint8Array;
}

/** Options of a request. */
export interface ExchangeOptions {
  readonly signal?: AbortSignal;
  /** Bytes of the body sent so far. */
  readonly onSent?: (bytes: number) => void;
  /** Bytes received so far into `into`. */
  readonly onReceived?: (bytes: number) => void;
  /** What the bytes of the body, or those behind the response block, are held to. */
  readonly pace?: Pace;
}

/** What came back. */
export interface Reply {
  /** The response block: 16384 bytes, or fewer if the relay sent fewer. */
  readonly block: Uint8Array;
  /** Number of bytes received into `into`. */
  readonly received: number;
}

/**
 * HTTP/2 over one TLS connection to a relay. Several requests may be in flight. A stream is never reset: a request
 * that is given up is either drained unseen or, when nobody else uses the connection, ended together with it
 * (official relays drop a whole connection on RST_STREAM: protocol reference, section 2.5).
 */
export class Channel {
  readonly #socket: TLSSocket;
  readonly #http2: ClientHttp2Session;
  readonly #authority: string;
  readonly #place: string;
  readonly #stallMs: number;
  readonly #abandonedMs: number;
  readonly #closed: Promise<void>;
  #active = 0;
  #peerCheck: NodeJS.Timeout | undefined;
  #retired = false;
  #failure: unknown;

  constructor(socket: TLSSocket, options: ChannelOptions) {
    this.#socket = socket;
    this.#abandonedMs = options.abandonedMs ?? ABANDONED_MS;
    this.#authority = options.authority;
    this.#place = options.place;
    this.#stallMs = options.stallMs;
    this.#http2 = connect(`https://${options.authority}`, {
      createConnection: () => socket,
      maxSessionMemory: MAX_SESSION_MEMORY_MB,
      settings: { initialWindowSize: STREAM_WINDOW, enablePush: false },
    });
    // Requests learn of the end of the session through their own streams.
    this.#http2.on('error', (error) => {
      this.#failure = error;
    });
    this.#http2.on('goaway', () => {
      this.retire();
    });
    this.#http2.once('connect', () => {
      if (!this.#http2.destroyed) this.#http2.setLocalWindowSize(CONNECTION_WINDOW);
    });
    this.#closed = new Promise((resolve) => this.#http2.once('close', resolve));
  }

  /** Requests under way; those that were given up do not count. */
  get active(): number {
    return this.#active;
  }

  /** Whether new requests may be made. */
  get usable(): boolean {
    return !this.#retired && !this.#http2.closed && !this.#http2.destroyed;
  }

  /** Resolves when the connection has ended. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  /** Takes no more requests, and ends the connection when the last one is done. */
  retire(): void {
    this.#retired = true;
    if (this.#active === 0) this.destroy();
  }

  /**
   * Takes no more requests after a failed upload. Official relays may read nothing more from such a connection
   * (protocol reference, section 2.5): it ends as soon as nothing has come for a while, and requests under way fail.
   */
  abandon(): void {
    this.retire();
    if (this.#active === 0) return;
    let heard = this.#socket.bytesRead;
    const check = setInterval(() => {
      if (this.#socket.bytesRead === heard) this.destroy();
      heard = this.#socket.bytesRead;
    }, this.#abandonedMs);
    void this.#closed.then(() => {
      clearInterval(check);
    });
  }

  /** Ends the connection at once; requests under way fail. */
  destroy(): void {
    this.#retired = true;
    afterEvents(() => {
      this.#http2.destroy();
      // HTTP/2 waits for a write under way, which never ends when the other side does not read.
      this.#socket.destroy();
    });
  }

  /**
   * Sends a request and waits for the whole response.
   *
   * @throws XftpError CONNECTION_LOST, STALLED, CANCELLED, or CHUNK_SIZE when the response is too long
   */
  exchange(request: Exchange, options: ExchangeOptions = {}): Promise<Reply> {
    try {
      throwIfAborted(options.signal);
      if (!this.usable) throw connectionLost(this.#place, this.#failure);
      return this.#start(request, options);
    } catch (error) {
      request.onBodyReleased?.();
      return Promise.reject(error instanceof XftpError ? error : connectionLost(this.#place, error));
    }
  }

  #start(request: Exchange, options: ExchangeOptions): Promise<Reply> {
    const stream = this.#http2.request(
      { ':method': 'POST', ':scheme': 'https', ':authority': this.#authority, ':path': '/' },
      { endStream: request.block === undefined },
    );
    if (request.onBodyReleased !== undefined) stream.once('close', request.onBodyReleased);
    this.#begin();
    return new Promise((resolve, reject) => {
      const receiver = new ReplyReceiver(request.into);
      let heard = this.#socket.bytesRead;
      const timer = new StallTimer(this.#stallMs, () => {
        // What was sent may lie in the system's buffers for long; the relay's window updates tell that it flows.
        const flows = request.body !== undefined && this.#socket.bytesRead > heard;
        heard = this.#socket.bytesRead;
        if (flows) timer.touch();
        else giveUp(stalled(this.#place, this.#stallMs));
      });
      const onSent = (sent: number): void => {
        timer.touch();
        options.onSent?.(sent);
      };
      const sender = new BodySender(stream, request, onSent, options.pace);
      let resumeTimer: NodeJS.Timeout | undefined;
      let settled = false;
      const settle = (outcome: () => void): void => {
        if (settled) return;
        settled = true;
        timer.stop();
        clearTimeout(resumeTimer);
        options.signal?.removeEventListener('abort', onAbort);
        receiver.discard();
        sender.stop();
        // What still comes drains unseen, at full speed.
        if (stream.isPaused()) stream.resume();
        this.#finish();
        outcome();
      };
      const pauseFor = (ms: number): void => {
        clearTimeout(resumeTimer);
        stream.pause();
        resumeTimer = setTimeout(() => {
          timer.touch();
          stream.resume();
        }, ms);
      };
      const fail = (error: XftpError): void => {
        settle(() => {
          reject(error);
        });
      };
      const giveUp = (error: XftpError): void => {
        this.#retired = true;
        fail(error);
      };
      const onAbort = (): void => {
        giveUp(cancelled());
      };
      options.signal?.addEventListener('abort', onAbort, { once: true });
      stream.on('data', (data: Buffer) => {
        timer.touch();
        countReceived(data.length);
        if (receiver.receive(data)) {
          options.onReceived?.(receiver.received);
          const wait = settled || request.into === undefined ? 0 : (options.pace?.spend(data.length) ?? 0);
          if (wait >= MIN_WAIT_MS) pauseFor(wait);
        } else {
          fail(tooLong(request, this.#place));
          // Without a bound on what it sends, the relay could keep this connection busy for ever.
          this.destroy();
        }
      });
      stream.once('end', () => {
        // Node ends the streams of a connection that broke, and streams that were reset, as if they were whole.
        if (stream.destroyed || stream.rstCode !== 0) fail(connectionLost(this.#place, this.#failure));
        else
          settle(() => {
            resolve(receiver.reply());
          });
      });
      stream.on('error', (error) => {
        fail(connectionLost(this.#place, error));
      });
      stream.once('close', () => {
        fail(connectionLost(this.#place, this.#failure));
      });
      sender.start();
    });
  }

  /** An idle connection does not keep the process alive. */
  #begin(): void {
    this.#active += 1;
    this.#http2.ref();
    this.#peerCheck ??= setInterval(() => {
      if (hasPeer(this.#socket)) return;
      this.#failure ??= new Error('The other side has reset the connection.');
      this.destroy();
    }, PEER_CHECK_MS);
  }

  /** A retired connection ends with its last request, whatever given-up streams still drain on it. */
  #finish(): void {
    this.#active -= 1;
    if (this.#active > 0) return;
    clearInterval(this.#peerCheck);
    this.#peerCheck = undefined;
    if (this.#http2.destroyed) return;
    if (this.#retired) this.destroy();
    else this.#http2.unref();
  }
}

function tooLong(request: Exchange, place: string): XftpError {
  return request.into === undefined
    ? new XftpError('RELAY_PROTOCOL', `${place} does not keep to the protocol: its answer is too long.`)
    : new XftpError('CHUNK_SIZE', `${place} sent more bytes than the chunk has.`);
}

/** Writes block and body with back-pressure, and ends the stream early when it is told to stop. */
class BodySender {
  readonly #stream: ClientHttp2Stream;
  readonly #block: Uint8Array | undefined;
  readonly #body: Uint8Array;
  readonly #onSent: (bytes: number) => void;
  readonly #pace: Pace | undefined;
  #sent = 0;
  #stopped = false;

  constructor(
    stream: ClientHttp2Stream,
    request: Exchange,
    onSent: (bytes: number) => void,
    pace: Pace | undefined,
  ) {
    this.#stream = stream;
    this.#block = request.block;
    this.#body = request.body ?? new Uint8Array();
    this.#onSent = onSent;
    this.#pace = pace;
  }

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
    if (this.#block !== undefined) this.#end();
  }

  #writeNext(): void {
    if (this.#stopped || this.#stream.destroyed) return;
    if (this.#sent > 0) this.#onSent(this.#sent);
    const length = this.#pace?.pieceSize(WRITE_SIZE) ?? WRITE_SIZE;
    const piece = this.#body.subarray(this.#sent, this.#sent + length);
    this.#sent += piece.length;
    const wait = this.#pace?.spend(piece.length) ?? 0;
    if (this.#sent < this.#body.length)
      this.#stream.write(piece, () => {
        if (wait < MIN_WAIT_MS) this.#writeNext();
        else
          setTimeout(() => {
            this.#writeNext();
          }, wait);
      });
    else {
      this.#end(piece, () => {
        this.#onSent(this.#sent);
      });
    }
  }

  #end(piece?: Uint8Array, onFlushed?: () => void): void {
    this.#stopped = true;
    if (this.#stream.destroyed || this.#stream.writableEnded) return;
    if (piece === undefined) this.#stream.end();
    else this.#stream.end(piece, onFlushed);
  }
}

/** Takes a response apart: its block, then the bytes behind it into a buffer of known size. */
class ReplyReceiver {
  readonly #block = new Uint8Array(BLOCK_SIZE);
  #into: Uint8Array | undefined;
  #discarding = false;
  #blockLength = 0;
  received = 0;

  constructor(into: Uint8Array | undefined) {
    this.#into = into;
  }

  /** Stores the bytes; false if there are more than fit. After `discard` they are thrown away. */
  receive(data: Uint8Array): boolean {
    if (this.#discarding) return true;
    const head = data.subarray(0, BLOCK_SIZE - this.#blockLength);
    this.#block.set(head, this.#blockLength);
    this.#blockLength += head.length;
    const rest = data.subarray(head.length);
    if (rest.length === 0) return true;
    if (this.#into === undefined || rest.length > this.#into.length - this.received) return false;
    this.#into.set(rest, this.received);
    this.received += rest.length;
    return true;
  }

  /** The buffers belong to the caller again: nothing more is written into them. */
  discard(): void {
    this.#discarding = true;
    this.#into = undefined;
  }

  reply(): Reply {
    return { block: this.#block.subarray(0, this.#blockLength), received: this.received };
  }
}
