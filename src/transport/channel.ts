import { connect, type ClientHttp2Session } from 'node:http2';
import type { TLSSocket } from 'node:tls';

import { XftpError } from '../protocol/index.js';
import { afterEvents, countReceived, hasPeer } from '../system/index.js';
import { BodySender } from './body-sender.js';
import { StallTimer } from './deadlines.js';
import { type Pacing, whenPaid } from './pace.js';
import { cancelled, connectionLost, stalled, throwIfAborted } from './network-failure.js';
import { LARGEST_WINDOW, ReceiveWindow } from './receive-window.js';
import { type Reply, ReplyReceiver } from './reply-receiver.js';

/** Window of the whole connection. What arrives goes straight into buffers of known size, so this costs no memory. */
const CONNECTION_WINDOW = 64 * 1024 * 1024;
/** Node's limit on memory of a session, in MB: its default breaks several chunks side by side. */
const MAX_SESSION_MEMORY_MB = 256;

/** How many stall limits a request that moves nothing itself waits for its answer while the relay sends something. */
const MAX_WAITS = 5;
/** The same for an upload that was handed over: the system and a slow link take their time with what they hold of it. */
const MAX_UPLOAD_WAITS = 10;
/** How often a connection in use is asked whether its other side is still there, in ms. */
const PEER_CHECK_MS = 1000;
/** How long an abandoned connection may be quiet, in ms: long enough for an answer on a slow circuit. */
const ABANDONED_MS = 5000;
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
  readonly pace?: Pacing;
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
  readonly #window: ReceiveWindow;
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
      settings: { initialWindowSize: LARGEST_WINDOW, enablePush: false },
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
    this.#window = new ReceiveWindow((bytes, onTaken) => {
      if (this.#http2.destroyed) return;
      this.#http2.settings({ initialWindowSize: bytes }, (error) => {
        if (error === null) onTaken();
      });
    });
    this.#closed = new Promise((resolve) => this.#http2.once('close', resolve));
    void this.#closed.then(() => {
      this.#window.close();
    });
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
    const endDownload = request.into === undefined ? undefined : this.#window.begin(options.pace);
    const stream = this.#http2.request(
      { ':method': 'POST', ':scheme': 'https', ':authority': this.#authority, ':path': '/' },
      { endStream: request.block === undefined },
    );
    if (request.onBodyReleased !== undefined) stream.once('close', request.onBodyReleased);
    this.#begin();
    return new Promise((resolve, reject) => {
      const receiver = new ReplyReceiver(request.into);
      let heard = this.#socket.bytesRead;
      let waits = 0;
      const timer = new StallTimer(this.#stallMs, () => {
        waits += 1;
        const flows = this.#socket.bytesRead > heard;
        heard = this.#socket.bytesRead;
        // What was sent may lie in the system's buffers for long; the relay's window updates tell that it flows. The
        // answer to a short request may lie behind the chunks of others.
        const mayWait =
          request.body === undefined ? receiver.isEmpty && waits < MAX_WAITS : waits < MAX_UPLOAD_WAITS;
        if (flows && mayWait) timer.touch();
        else giveUp(stalled(this.#place, waits * this.#stallMs));
      });
      const onSent = (sent: number): void => {
        waits = 0;
        timer.touch();
        options.onSent?.(sent);
      };
      const sender = new BodySender(stream, request, onSent, options.pace);
      let endWait = (): void => undefined;
      let settled = false;
      const settle = (outcome: () => void): void => {
        if (settled) return;
        settled = true;
        timer.stop();
        endWait();
        endDownload?.();
        options.signal?.removeEventListener('abort', onAbort);
        receiver.discard();
        sender.stop();
        // What still comes drains unseen, at full speed.
        if (stream.isPaused()) stream.resume();
        this.#finish();
        outcome();
      };
      const pauseUntilPaid = (pace: Pacing, bytes: number): void => {
        endWait();
        endWait = whenPaid(
          pace,
          bytes,
          () => {
            timer.touch();
            stream.resume();
          },
          () => {
            timer.touch();
            stream.pause();
          },
        );
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
        waits = 0;
        timer.touch();
        countReceived(data.length);
        if (receiver.receive(data)) {
          this.#window.fit();
          options.onReceived?.(receiver.received);
          if (!settled && request.into !== undefined && options.pace !== undefined)
            pauseUntilPaid(options.pace, data.length);
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
        if (!settled) fail(connectionLost(this.#place, this.#failure));
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
