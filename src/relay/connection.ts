import {
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { TLSSocket } from 'node:tls';

import {
  ALPN_H2,
  encodeBareError,
  encodeResponse,
  encodeTransmission,
  HEADER_HANDSHAKE,
  HEADER_WEB_HELLO,
  type PlainErrorType,
} from '../protocol/index.js';
import { type Answer, processCommand } from './command-processor.js';
import {
  ACCEPTED_WITHOUT_HANDSHAKE,
  acceptHandshake,
  acceptHello,
  type HandshakeState,
  handshakeStep,
} from './handshake-state.js';
import {
  CONNECTION_WINDOW,
  MAX_HEADER_LIST_SIZE,
  MAX_HEADER_PAIRS,
  MAX_INVALID_FRAMES,
  MAX_STREAMS,
  SESSION_MEMORY_MB,
  STREAM_WINDOW,
  TCP_KEEP_ALIVE_MS,
} from './limits.js';
import { RequestBody } from './request-body.js';
import { sendBlock, sendDownload, type SendResult } from './response-writer.js';
import type { RelayServices } from './services.js';

const EMPTY = new Uint8Array();

/** One client's TLS connection with HTTP/2 on it: its handshake and its requests. Never throws, whatever comes. */
export class RelayConnection {
  readonly #services: RelayServices;
  readonly #socket: TLSSocket;
  readonly #session: ServerHttp2Session;
  readonly #sessionId: Uint8Array;
  /** `h2` without a web certificate: "every POST is answered 200 with empty body" (section 1.2). */
  readonly #deaf: boolean;
  readonly #sniUsed = false; // Web certificates are not supported yet: SNI is ignored (section 1.5).
  readonly #closed: Promise<void>;
  #state: HandshakeState;
  #lastRequestAt: number;
  #handshakeTimer: NodeJS.Timeout | undefined;

  /** @param socket after its TLS handshake */
  constructor(socket: TLSSocket, services: RelayServices) {
    this.#services = services;
    this.#socket = socket;
    this.#sessionId = Uint8Array.from(socket.getPeerFinished() ?? EMPTY);
    this.#deaf = socket.alpnProtocol === ALPN_H2;
    // Without ALPN "the first request is already a command block" (section 2.6).
    this.#state = socket.alpnProtocol === false ? ACCEPTED_WITHOUT_HANDSHAKE : { stage: 'initial' };
    this.#lastRequestAt = services.now();
    socket.setNoDelay(true);
    socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    this.#session = performServerHandshake(socket, {
      maxSessionMemory: SESSION_MEMORY_MB,
      maxHeaderListPairs: MAX_HEADER_PAIRS,
      maxSessionInvalidFrames: MAX_INVALID_FRAMES,
      settings: {
        initialWindowSize: STREAM_WINDOW,
        maxConcurrentStreams: MAX_STREAMS,
        maxHeaderListSize: MAX_HEADER_LIST_SIZE,
        enablePush: false,
      },
    });
    this.#session.on('error', ignore); // 'close' follows
    this.#closed = new Promise((resolve) => this.#session.once('close', resolve));
    this.#session.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      void this.#serve(stream, headers);
    });
    this.#session.setLocalWindowSize(CONNECTION_WINDOW);
    this.#startHandshakeTimer();
  }

  /** Resolves when the connection has ended. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  /** When the last request started, in ms. */
  get lastRequestAt(): number {
    return this.#lastRequestAt;
  }

  /** Takes no more requests and ends when those under way are done. */
  close(): void {
    if (!this.#session.destroyed) this.#session.close();
  }

  /** Ends at once. */
  destroy(): void {
    this.#session.destroy();
    // A session that is closing waits for the client, who may never answer.
    this.#socket.destroy();
  }

  /** Whoever connects must soon say what for. */
  #startHandshakeTimer(): void {
    this.#handshakeTimer = setTimeout(() => {
      this.destroy();
    }, this.#services.limits.protocolHandshakeMs);
    void this.#closed.then(() => {
      clearTimeout(this.#handshakeTimer);
    });
  }

  async #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    stream.on('error', ignore); // 'close' follows
    this.#lastRequestAt = this.#services.now();
    try {
      const body = new RequestBody(stream);
      const block = await body.readBlock(this.#services.limits.blockMs);
      const result =
        block === undefined
          ? body.lost
            ? 'gone'
            : 'stuck'
          : await this.#answer(stream, headers, block, body);
      if (result === 'stuck') this.destroy();
    } catch (error) {
      this.#services.failed(error);
      this.destroy();
    }
  }

  async #answer(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    block: Uint8Array,
    body: RequestBody,
  ): Promise<SendResult> {
    const { limits } = this.#services;
    if (this.#deaf) return await sendBlock(stream, body, undefined, limits);
    const step = handshakeStep(this.#state.stage, {
      sniUsed: this.#sniUsed,
      webHello: HEADER_WEB_HELLO in headers,
      webHandshake: HEADER_HANDSHAKE in headers,
    });
    switch (step) {
      case 'hello':
        return await sendBlock(stream, body, this.#hello(block), limits);
      case 'handshake':
        return await sendBlock(stream, body, this.#handshake(block), limits);
      case 'refused':
        return await sendBlock(stream, body, bareError('SESSION'), limits);
      case 'command':
        return await this.#command(stream, block, body);
    }
  }

  #hello(block: Uint8Array): Uint8Array {
    const accepted = acceptHello(this.#state, block, this.#handshakeContext);
    if (accepted === undefined) return bareError('HANDSHAKE');
    this.#state = accepted.state;
    return accepted.reply;
  }

  /** Nothing is the answer to a right one (section 2.2). */
  #handshake(block: Uint8Array): Uint8Array | undefined {
    const accepted = acceptHandshake(this.#state, block, this.#handshakeContext);
    if (accepted === undefined) return bareError('HANDSHAKE');
    this.#state = accepted;
    clearTimeout(this.#handshakeTimer);
    return undefined;
  }

  async #command(stream: ServerHttp2Stream, block: Uint8Array, body: RequestBody): Promise<SendResult> {
    if (this.#state.stage !== 'accepted') return 'gone';
    clearTimeout(this.#handshakeTimer);
    const { version, key } = this.#state;
    const session = { id: this.#sessionId, version, privateKey: key?.privateKey, connection: this };
    const answer = await processCommand(block, body, session, this.#services);
    const reply = this.#encode(answer);
    return answer.download === undefined
      ? await sendBlock(stream, body, reply, this.#services.limits)
      : await sendDownload(stream, body, reply, answer.download, this.#services.limits);
  }

  #encode({ correlationId, entityId, response }: Answer): Uint8Array {
    const command = encodeResponse(response);
    return encodeTransmission({ sessionId: this.#sessionId, correlationId, entityId, command });
  }

  get #handshakeContext(): Parameters<typeof acceptHello>[2] {
    const { credentials } = this.#services;
    return { credentials, sessionId: this.#sessionId, sniUsed: this.#sniUsed };
  }
}

function bareError(type: PlainErrorType): Uint8Array {
  return encodeBareError({ type });
}

function ignore(): void {
  // Errors of connections are the clients' business; nothing is logged about them.
}
