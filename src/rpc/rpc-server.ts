import { once } from 'node:events';
import type { Server } from 'node:http';
import { isIPv6 } from 'node:net';

import { WebSocketServer } from 'ws';

import type { AgentApi } from '../agent/index.js';
import { XftpError } from '../protocol/index.js';
import { processMark } from '../system/index.js';

import { callCounter } from './call-figures.js';
import { type Connection, type ConnectionServices, serveConnection } from './connection.js';
import { createDispatcher, type Report } from './dispatcher.js';
import { type EndpointDescription, removeEndpoint, writeEndpoint } from './endpoint-file.js';
import { CLOSE_GOING_AWAY } from './event-outlet.js';
import { createHttpService } from './http-service.js';
import { RPC_LIMITS, type RpcLimits } from './limits.js';
import { listenOnLoopback, listenOnSocket } from './listen.js';
import { metricsText } from './metrics.js';
import { openRpcDocument } from './openrpc-document.js';
import { bearerProtocol, createGuard } from './request-guard.js';

/** What to serve, and where. */
export interface RpcServerOptions {
  readonly agent: AgentApi;
  /** TCP if there is a port (0: a free one), on 127.0.0.1 unless told; a Unix socket if there is a path; or both. */
  readonly listen: { readonly host?: string; readonly port?: number; readonly path?: string };
  /** Existing folder; `rpc.json` in it tells clients where the RPC is. */
  readonly dataDir: string;
  /** Version of the package. */
  readonly version: string;
  /** Web pages that may connect, as `https://example.org`; none unless given. */
  readonly allowedOrigins?: readonly string[];
  /** Is told of bugs. */
  readonly report?: Report;
  /** For tests. */
  readonly limits?: Partial<RpcLimits>;
}

/** A server that is running. */
export interface RpcServer {
  /** `ws://127.0.0.1:PORT/`, if it listens on TCP. */
  readonly url?: string;
  readonly socketPath?: string;
  /** Says goodbye to all clients and ends. */
  stop(): Promise<void>;
}

/**
 * Serves the agent as JSON-RPC 2.0 over WebSocket, to programs of this machine only.
 *
 * @throws XftpError INVALID_ARGUMENT, ADDRESS_IN_USE, NO_PERMISSION, DISK_FULL or LOCAL_IO.
 */
export async function startRpcServer(options: RpcServerOptions): Promise<RpcServer> {
  const { agent, listen, dataDir, version, allowedOrigins = [], report = () => undefined } = options;
  if (listen.port === undefined && listen.path === undefined)
    throw new XftpError('INVALID_ARGUMENT', 'The RPC needs a port or the path of a socket to listen on.');
  const limits = { ...RPC_LIMITS, ...options.limits };
  const connections = new Set<Connection>();
  const calls = callCounter();
  let contract: ReturnType<typeof openRpcDocument> | undefined;
  const services: ConnectionServices = {
    agent,
    limits,
    report,
    dispatch: createDispatcher(agent, calls, report),
    discover: () => (contract ??= openRpcDocument(version)),
    disconnectToken: (tokenId) => {
      for (const connection of connections) if (connection.token.id === tokenId) connection.revoke();
    },
  };
  const webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: limits.messageBytes,
    handleProtocols: (offered) => bearerProtocol(offered) ?? false,
  });

  const httpServer = (anyHost: boolean): Server =>
    createHttpService({
      guard: createGuard(agent, { allowedOrigins, anyHost }),
      webSockets,
      limits,
      report,
      metrics: () => metricsText(agent, calls, connections.size),
      hasRoom: () => connections.size < limits.connections,
      connected: (socket, token) => {
        const connection = serveConnection(socket, token, services);
        connections.add(connection);
        socket.once('close', () => connections.delete(connection));
      },
    });

  const servers: Server[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(servers.map(closeServer));
  };
  try {
    const endpoint = await listenAll(listen, (anyHost) => {
      const server = httpServer(anyHost);
      servers.push(server);
      return server;
    });
    const mark = await processMark(process.pid);
    const description: EndpointDescription = {
      ...endpoint,
      pid: process.pid,
      ...(mark === undefined ? {} : { process: mark }),
      version,
    };
    await writeEndpoint(dataDir, description);
    const heart = setInterval(() => {
      for (const connection of connections) connection.beat();
    }, limits.heartbeat);
    let stopped: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
      clearInterval(heart);
      await removeEndpoint(dataDir, description);
      // Nobody new comes in while the others leave.
      const closed = close();
      await sayGoodbye(connections, limits.goodbye);
      await closed;
    };
    return {
      ...(endpoint.url === undefined ? {} : { url: endpoint.url }),
      ...(endpoint.socket === undefined ? {} : { socketPath: endpoint.socket }),
      stop: () => (stopped ??= stop()),
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Listens wherever it was asked to. Who reaches a Unix socket has shown that it is local, whatever host it names. */
async function listenAll(
  { host = '127.0.0.1', port, path }: RpcServerOptions['listen'],
  newServer: (anyHost: boolean) => Server,
): Promise<{ url?: string; socket?: string }> {
  const endpoint: { url?: string; socket?: string } = {};
  if (port !== undefined) {
    const actual = await listenOnLoopback(newServer(false), host, port);
    endpoint.url = `ws://${isIPv6(host) ? `[${host}]` : host}:${String(actual)}/`;
  }
  if (path !== undefined) {
    await listenOnSocket(newServer(true), path);
    endpoint.socket = path;
  }
  return endpoint;
}

async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}

/** Closes all connections; those whose clients do not answer in time are cut. */
async function sayGoodbye(connections: ReadonlySet<Connection>, timeout: number): Promise<void> {
  const all = [...connections];
  const cut = setTimeout(() => {
    for (const { socket } of all) socket.terminate();
  }, timeout);
  await Promise.all(
    all.map(async ({ socket }) => {
      const closed = once(socket, 'close');
      socket.close(CLOSE_GOING_AWAY, 'the agent stops');
      await closed;
    }),
  );
  clearTimeout(cut);
}
