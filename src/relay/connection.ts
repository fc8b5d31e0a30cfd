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
import { afterEvents, hasPeer } from '../system/index.js';
import { type Answer, type PendingAnswer, processCommand } from './command-processor.js';
import { FrameGuard } from './frame-guard.js';
import {
  ACCEPTED_WITHOUT_HANDSHAKE,
  acceptHandshake,
  acceptHello,
  type HandshakeState,
  type HandshakeStep,
  handshakeStep,
} from './handshake-state.js';
import {
  CONNECTION_WINDOW,
  HELLO_PIECE,
  MAX_HEADER_LIST_SIZE,
  MAX_HEADER_PAIRS,
  MAX_INVALID_FRAMES,
  MAX_STREAMS,
  SESSION_MEMORY_MB,
  STREAM_WINDOW,
  TCP_KEEP_ALIVE_MS,
} from './limits.js';
import { RequestBody } from './request-body.js';
import {
  drainRequest,
  isOver,
  sendBlock,
  sendDownload,
  sendPage,
  type SendResult,
} from './response-writer.js';
import type { ConnectionServices } from './services.js';
import type { ShownIdentity } from './shown-identity.js';
import { type PageResponse, respondWithPage } from './web/page-response.js';
import { headOf, NATIVE_HEAD, PREFLIGHT_HEAD, type ResponseHead, WEB_HEAD } from './web/response-heads.js';

/** What a request leads to: a block or nothing to send, a download when its turn comes, or an end without an answer. */
type Outcome =
  | { readonly type: 'block'; readonly block: Uint8Array | undefined; readonly pieceSize?: number }
  | { readonly type: 'download'; readonly pending: PendingAnswer }
  | { readonly type: 'none'; readonly result: Exclude<SendResult, 'sent'> };

const EMPTY = new Uint8Array();

/** Who has connected. */
export interface ConnectedClient {
  /** What the client is counted by; undefined if it is not counted. */
  readonly client: string | undefined;
  /** What it was shown in TLS. */
  readonly shown: ShownIdentity;
}

/** One client's TLS connection with HTTP/2 on it: its handshake and its requests. Never throws, whatever comes. */
export class RelayConnection {
  readonly #services: ConnectionServices;
  readonly #client: string | undefined;
  readonly #shown: ShownIdentity;
  readonly #socket: TLSSocket;
  readonly #session: ServerHttp2Session;
  readonly #sessionId: Uint8Array;
  /** What browsers get; undefined unless the client named a host and was shown the web certificate (section 1.5). */
  readonly #web: ShownIdentity['web'];
  /** `h2` without a web certificate: "every POST is answered 200 with empty body" (section 1.2). */
  readonly #deaf: boolean;
  readonly #head: ResponseHead;
  readonly #frames: FrameGuard;
  readonly #closed: Promise<void>;
  #state: HandshakeState;
  #lastRequestAt: number;
  #handshakeTimer: NodeJS.Timeout | undefined;
  /** Pages that are being sent. */
  #pages = 0;

  /** @param socket after its TLS handshake */
  constructor(socket: TLSSocket, { client, shown }: ConnectedClient, services: ConnectionServices) {
    this.#services = services;
    this.#client = client;
    this.#shown = shown;
    this.#socket = socket;
    this.#sessionId = Uint8Array.from(socket.getPeerFinished() ?? EMPTY);
    this.#web = namesHost(socket) ? shown.web : undefined;
    this.#head = this.#web === undefined ? NATIVE_HEAD : WEB_HEAD;
    this.#deaf = this.#web === undefined && socket.alpnProtocol === ALPN_H2;
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
    this.#frames = new FrameGuard(this.#session, () => {
      this.destroy();
    });
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

  /** Whether the client is still there, as far as the system knows. */
  get hasPeer(): boolean {
    return hasPeer(this.#socket);
  }

  /** Lets the client send so many bytes on each stream before they are read, on those under way too. */
  setStreamWindow(bytes: number): void {
    if (!this.#session.destroyed) this.#session.settings({ initialWindowSize: bytes });
  }

  /** Takes no more requests and ends when those under way are done. */
  close(): void {
    afterEvents(() => {
      if (!this.#session.destroyed) this.#session.close();
    });
  }

  /** Ends at once. */
  destroy(): void {
    afterEvents(() => {
      this.#session.destroy();
      // A session that is closing waits for the client, who may never answer.
      this.#socket.destroy();
    });
  }

  /** Whoever connects must soon say what for. A page that moves has a deadline of its own. */
  #startHandshakeTimer(): void {
    this.#handshakeTimer = setTimeout(() => {
      if (this.#pages > 0) this.#handshakeTimer?.refresh();
      else this.destroy();
    }, this.#services.limits.protocolHandshakeMs);
    void this.#closed.then(() => {
      this.#endHandshake();
    });
  }

  #endHandshake(): void {
    clearTimeout(this.#handshakeTimer);
    this.#handshakeTimer = undefined;
  }

  async #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    stream.on('error', ignore); // 'close' follows
    stream.once('aborted', () => {
      this.#frames.count();
    });
    this.#lastRequestAt = this.#services.now();
    try {
      const body = new RequestBody(stream);
      const result = await (this.#serveBrowser(stream, headers, body) ??
        this.#serveProtocol(stream, headers, body));
      if (result === 'stuck') this.destroy();
      // Node keeps a stream that its client has reset without an error for as long as nobody reads its rest.
      else if (result === 'gone' && stream.closed) stream.destroy();
    } catch (error) {
      this.#services.failed(error);
      this.destroy();
    }
  }

  async #serveProtocol(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    body: RequestBody,
  ): Promise<SendResult> {
    // The block is out of memory before anything is sent or waited for.
    const outcome = await this.#receive(headers, body);
    return await this.#send(stream, body, outcome);
  }

  /** Requests that only browsers make (section 2.4); undefined for all others. */
  #serveBrowser(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    body: RequestBody,
  ): Promise<SendResult> | undefined {
    if (this.#web === undefined) return undefined;
    const { limits } = this.#services;
    switch (headers[':method']) {
      case 'OPTIONS':
        this.#handshakeTimer?.refresh();
        return sendBlock(stream, body, undefined, limits, PREFLIGHT_HEAD);
      case 'GET':
      case 'HEAD': {
        const page = respondWithPage(this.#web.pages, {
          method: headers[':method'],
          path: headers[':path'],
          codings: headers['accept-encoding'],
        });
        return this.#sendPage(stream, body, page);
      }
      default:
        return undefined;
    }
  }

  async #sendPage(stream: ServerHttp2Stream, body: RequestBody, page: PageResponse): Promise<SendResult> {
    const head = headOf({ ':status': page.status, ...page.headers });
    this.#pages += 1;
    try {
      return await sendPage(stream, body, page.content, this.#services.limits, head);
    } finally {
      this.#pages -= 1;
      this.#handshakeTimer?.refresh();
    }
  }

  async #receive(headers: IncomingHttpHeaders, body: RequestBody): Promise<Outcome> {
    const block = await body.readBlock(this.#services.limits.blockMs);
    if (block === undefined) return { type: 'none', result: body.lost ? 'gone' : 'stuck' };
    if (this.#deaf) return { type: 'block', block: undefined };
    switch (this.#step(headers)) {
      case 'hello':
        return { type: 'block', block: this.#hello(block), pieceSize: HELLO_PIECE };
      case 'handshake':
        return { type: 'block', block: this.#handshake(block) };
      case 'refused':
        return { type: 'block', block: bareError('SESSION') };
      case 'command':
        return await this.#command(block, body);
    }
  }

  #step(headers: IncomingHttpHeaders): HandshakeStep {
    if (this.#state === ACCEPTED_WITHOUT_HANDSHAKE) return 'command';
    return handshakeStep(this.#state.stage, {
      sniUsed: this.#web !== undefined,
      webHello: HEADER_WEB_HELLO in headers,
      webHandshake: HEADER_HANDSHAKE in headers,
    });
  }

  #send(stream: ServerHttp2Stream, body: RequestBody, outcome: Outcome): Promise<SendResult> | SendResult {
    switch (outcome.type) {
      case 'block':
        return sendBlock(stream, body, outcome.block, this.#services.limits, this.#head, outcome.pieceSize);
      case 'download':
        return this.#download(stream, body, outcome.pending);
      case 'none':
        return outcome.result;
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
    this.#endHandshake();
    return undefined;
  }

  async #command(block: Uint8Array, body: RequestBody): Promise<Outcome> {
    if (this.#state.stage !== 'accepted') return { type: 'none', result: 'gone' };
    this.#endHandshake();
    const { version, key } = this.#state;
    const session = {
      id: this.#sessionId,
      version,
      privateKey: key?.privateKey,
      connection: this,
      client: this.#client,
    };
    const answer = await processCommand(block, body, session, this.#services);
    return 'begin' in answer
      ? { type: 'download', pending: answer }
      : { type: 'block', block: this.#encode(answer) };
  }

  /** Waits for the turn of a download, and sends it. */
  async #download(
    stream: ServerHttp2Stream,
    body: RequestBody,
    { begin }: PendingAnswer,
  ): Promise<SendResult> {
    const { downloads, limits } = this.#services;
    const leaving = new AbortController();
    const leave = (): void => {
      leaving.abort();
    };
    stream.once('close', leave);
    if (isOver(stream)) leave();
    // What comes behind the block must not wait in memory, and who sends too much need not wait.
    const drained = drainRequest(body, limits);
    void drained.then((end) => {
      if (end === 'stuck') leave();
    });
    const free = await downloads.take(this, { signal: leaving.signal });
    if (free === undefined) return (await drained) === 'stuck' ? 'stuck' : 'gone';
    try {
      const { download, ...answer } = await begin();
      const block = this.#encode(answer);
      const turn = { free, isWanted: () => downloads.crowded };
      if (download !== undefined)
        return await sendDownload(stream, body, block, download, limits, this.#head, turn);
      free();
      return await sendBlock(stream, body, block, limits, this.#head);
    } finally {
      free();
    }
  }

  #encode({ correlationId, entityId, response }: Answer): Uint8Array {
    const command = encodeResponse(response);
    return encodeTransmission({ sessionId: this.#sessionId, correlationId, entityId, command });
  }

  get #handshakeContext(): Parameters<typeof acceptHello>[2] {
    const { credentials } = this.#shown;
    return { credentials, sessionId: this.#sessionId, sniUsed: this.#web !== undefined };
  }
}

/** Whether the client said in TLS which host it wants. */
function namesHost({ servername }: TLSSocket & { readonly servername?: string | false | null }): boolean {
  return typeof servername === 'string' && servername !== '';
}

function bareError(type: PlainErrorType): Uint8Array {
  return encodeBareError({ type });
}

function ignore(): void {
  // Errors of connections are the clients' business; nothing is logged about them.
}
