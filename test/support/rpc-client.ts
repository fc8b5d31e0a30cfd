import { once } from 'node:events';

import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';

import { type RpcLimits, type RpcServer, startRpcServer } from '#src/rpc/index.js';

import { createFakeAgent, type FakeAgent } from './fake-agent.js';
import { temporaryFolder } from './temporary-folder.js';

/** An RPC server of the running test with an agent in memory behind it. */
export interface TestRpc {
  readonly agent: FakeAgent;
  readonly server: RpcServer;
  readonly url: string;
  readonly dataDir: string;
  /** What it reported. */
  readonly problems: { readonly problem: string; readonly cause: unknown }[];
  /** A client with a token of that scope. */
  readonly client: (
    scope?: 'read' | 'submit' | 'admin',
    folders?: readonly string[],
  ) => Promise<RawRpcClient>;
}

/** Where and how a test wants it. */
export interface TestRpcOptions {
  readonly agent?: FakeAgent;
  readonly dataDir?: string;
  readonly socketPath?: string;
  readonly limits?: Partial<RpcLimits>;
  readonly allowedOrigins?: readonly string[];
}

export async function testRpc(options: TestRpcOptions = {}): Promise<TestRpc> {
  const { agent = createFakeAgent(), socketPath, limits = {}, allowedOrigins = [] } = options;
  const dataDir = options.dataDir ?? (await temporaryFolder());
  const problems: { problem: string; cause: unknown }[] = [];
  const server = await startRpcServer({
    agent,
    dataDir,
    version: '1.2.3',
    listen: { port: 0, ...(socketPath === undefined ? {} : { path: socketPath }) },
    limits,
    allowedOrigins,
    report: (problem, cause) => problems.push({ problem, cause }),
  });
  onTestFinished(() => server.stop());
  const url = server.url ?? '';
  return {
    agent,
    server,
    url,
    dataDir,
    problems,
    client: (scope = 'admin', folders) => openRpcClient(url, agent.token(scope, folders)),
  };
}

/** A message of the server. */
export interface RpcMessage {
  readonly id?: unknown;
  readonly result?: any;
  readonly error?: { code: number; message: string; data?: any };
  readonly method?: string;
  readonly params?: any;
}

/** A client that sends and reads what a test wants, right or wrong. */
export interface RawRpcClient {
  readonly socket: WebSocket;
  /** Everything that came, in order. */
  readonly messages: (RpcMessage | RpcMessage[])[];
  readonly send: (message: unknown) => void;
  readonly sendText: (text: string) => void;
  /** The next message that nobody waited for. */
  readonly next: () => Promise<any>;
  /** The answer to a call. */
  readonly call: (method: string, params?: unknown) => Promise<RpcMessage>;
  /** Code and reason of the close. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
}

export async function openRpcClient(
  url: string,
  token: string | undefined,
  options: { readonly protocols?: string[]; readonly headers?: Record<string, string> } = {},
): Promise<RawRpcClient> {
  const socket = new WebSocket(url, options.protocols ?? [], {
    headers: { ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }), ...options.headers },
  });
  onTestFinished(() => {
    socket.terminate();
  });
  const messages: (RpcMessage | RpcMessage[])[] = [];
  let taken = 0;
  let wake = (): void => undefined;
  const waiting = new Map<number, (message: RpcMessage) => void>();
  socket.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString()) as RpcMessage | RpcMessage[];
    const answered = Array.isArray(message) ? undefined : waiting.get(Number(message.id));
    if (answered !== undefined && !Array.isArray(message)) {
      waiting.delete(Number(message.id));
      answered(message);
    } else messages.push(message);
    wake();
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on('close', (code, reason) => {
      resolve({ code, reason: reason.toString() });
      wake();
    });
  });
  await once(socket, 'open');
  let lastId = 1000;
  return {
    socket,
    messages,
    closed,
    send: (message) => {
      socket.send(JSON.stringify(message));
    },
    sendText: (text) => {
      socket.send(text);
    },
    next: async () => {
      while (messages.length <= taken) {
        if (socket.readyState === socket.CLOSED) throw new Error('The connection is closed.');
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return messages[taken++];
    },
    call: async (method, params) => {
      const id = ++lastId;
      const answer = new Promise<RpcMessage>((resolve) => waiting.set(id, resolve));
      socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
      return await answer;
    },
  };
}
