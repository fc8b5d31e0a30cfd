import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Duplex } from 'node:stream';

import type { WebSocket, WebSocketServer } from 'ws';

import type { TokenInfo } from '../agent/index.js';

import type { Report } from './dispatcher.js';
import { MAX_SPARE_SOCKETS, type RpcLimits } from './limits.js';
import { isRefusal, type RequestGuard } from './request-guard.js';

const HEALTH_PATH = '/healthz';
const METRICS_PATH = '/metrics';
const RPC_PATH = '/';
/** Prometheus' text format. */
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** How often Node looks for connections whose head is late. */
const CHECK_INTERVAL = 1000;
/** Longest head of a request, in bytes: the token and what browsers add. */
const MAX_HEAD = 16 * 1024;

/** What one listener needs. */
export interface HttpServiceOptions {
  readonly guard: RequestGuard;
  readonly webSockets: WebSocketServer;
  readonly limits: RpcLimits;
  readonly report: Report;
  readonly metrics: () => string;
  /** Whether another connection is allowed. */
  readonly hasRoom: () => boolean;
  readonly connected: (socket: WebSocket, token: TokenInfo) => void;
}

/** The HTTP side: upgrades to WebSocket, health and metrics. */
export function createHttpService(options: HttpServiceOptions): Server {
  const { guard, webSockets, limits, report, metrics, hasRoom, connected } = options;
  const server = createServer({
    headersTimeout: limits.head,
    requestTimeout: limits.head,
    keepAliveTimeout: limits.head,
    connectionsCheckingInterval: Math.min(CHECK_INTERVAL, limits.head),
    maxHeaderSize: MAX_HEAD,
  });
  const strangers = boundedSockets(MAX_SPARE_SOCKETS);
  server.on('connection', strangers.add);
  server.on('request', (request, response) => {
    try {
      respond(response, replyTo(request));
    } catch (error) {
      report('A request met an error that was not foreseen.', error);
      if (!response.headersSent) respond(response, { status: 500, error: 'internal' });
    }
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // A client may be gone at any time.
    socket.on('error', () => undefined);
    try {
      upgrade(request, socket, head);
    } catch (error) {
      report('A connection met an error that was not foreseen.', error);
      socket.destroy();
    }
  });

  function replyTo(request: IncomingMessage): Reply {
    const refusal = guard.refuseOrigin(request);
    if (refusal !== undefined) return refusal;
    const path = pathOf(request);
    if (path !== HEALTH_PATH && path !== METRICS_PATH && path !== RPC_PATH)
      return { status: 404, error: 'not found' };
    if (request.method !== 'GET') return { status: 405, error: 'method not allowed' };
    switch (path) {
      case HEALTH_PATH:
        return { status: 200, text: '{"status":"ok"}\n', type: 'application/json' };
      case METRICS_PATH: {
        const token = guard.authenticate(request);
        return isRefusal(token) ? token : { status: 200, text: metrics(), type: METRICS_TYPE };
      }
      case RPC_PATH:
        return { status: 426, error: 'websocket expected' };
    }
  }

  function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const token = admit(request);
    if ('status' in token) refuse(socket, token);
    else
      webSockets.handleUpgrade(request, socket, head, (webSocket) => {
        strangers.forget(socket);
        connected(webSocket, token);
      });
  }

  function admit(request: IncomingMessage): TokenInfo | ErrorReply {
    if (pathOf(request) !== RPC_PATH) return { status: 404, error: 'not found' };
    const refusal = guard.refuseOrigin(request);
    if (refusal !== undefined) return refusal;
    const token = guard.authenticate(request);
    if (!isRefusal(token) && !hasRoom()) return { status: 503, error: 'too many connections' };
    return token;
  }

  return server;
}

/** Sockets that have not shown a token: of more than `most`, the oldest is closed, so that none keeps others out. */
function boundedSockets(most: number): {
  readonly add: (socket: Duplex) => void;
  readonly forget: (socket: Duplex) => void;
} {
  const sockets = new Set<Duplex>();
  const forget = (socket: Duplex): void => {
    sockets.delete(socket);
  };
  const add = (socket: Duplex): void => {
    sockets.add(socket);
    socket.once('close', () => {
      forget(socket);
    });
    const [oldest] = sockets;
    if (sockets.size > most) oldest?.destroy();
  };
  return { add, forget };
}

/** A short answer that is no success. */
interface ErrorReply {
  readonly status: number;
  readonly error: string;
}

type Reply = ErrorReply | { readonly status: 200; readonly text: string; readonly type: string };

/** What some statuses say besides. */
const HEADERS_OF: Readonly<Record<number, Readonly<Record<string, string>>>> = {
  401: { 'WWW-Authenticate': 'Bearer' },
  405: { Allow: 'GET' },
  426: { Upgrade: 'websocket' },
};

function pathOf({ url = '' }: IncomingMessage): string {
  return url.split('?', 1)[0] ?? '';
}

function bodyOf({ error }: ErrorReply): string {
  return `${JSON.stringify({ error })}\n`;
}

/** What is left of a refused request is not read. */
function headersOf(reply: ErrorReply): Record<string, string | number> {
  return {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(bodyOf(reply)),
    Connection: 'close',
    ...HEADERS_OF[reply.status],
  };
}

function respond(response: ServerResponse, reply: Reply): void {
  response.setHeader('Cache-Control', 'no-store');
  if ('error' in reply) response.writeHead(reply.status, headersOf(reply)).end(bodyOf(reply));
  else response.writeHead(reply.status, { 'Content-Type': reply.type }).end(reply.text);
}

/** Refuses an upgrade and closes the socket, whether or not the client does so. */
function refuse(socket: Duplex, reply: ErrorReply): void {
  const head = Object.entries(headersOf(reply)).map(([name, value]) => `${name}: ${String(value)}\r\n`);
  const status = `${String(reply.status)} ${STATUS_CODES[reply.status] ?? ''}`;
  socket.end(`HTTP/1.1 ${status}\r\n${head.join('')}\r\n${bodyOf(reply)}`, () => socket.destroy());
}
