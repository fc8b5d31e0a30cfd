import { connect } from 'node:net';

import { WebSocket } from 'ws';

import { isXftpError, XftpError } from '../protocol/index.js';
import type { AgentEvent, MethodParams, MethodResult } from '../rpc/index.js';

import { START_HINT } from './agent-endpoint.js';
import { failureOf } from './call-failure.js';
import type { AgentEndpoint, CallOptions } from './client-interface.js';

/** Longest message of an agent, in bytes: what a string can hold. */
const MAX_MESSAGE = 0x1fffffe8;
/** Milliseconds for the agent to accept a connection; on loopback it takes a few. */
const HANDSHAKE_TIMEOUT = 10_000;
/** Milliseconds for the goodbye of the agent. */
const CLOSE_TIMEOUT = 2_000;

/** All that a subscription tells up to this number has been told. */
interface Position {
  readonly type: 'position';
  readonly seq: number;
}

/** What a subscription tells. */
export type Told = AgentEvent | Position;

/** One WebSocket to an agent. */
export interface AgentLink {
  isOpen(): boolean;
  /** Calls a method; what comes back is not checked. */
  call(method: string, params: object, options?: CallOptions): Promise<unknown>;
  /** Begins a subscription; no event of it is missed by `listener`. */
  subscribe(
    params: MethodParams<'events.subscribe'>,
    listener: (told: Told) => void,
    options?: CallOptions,
  ): Promise<MethodResult<'events.subscribe'>>;
  /** Stops and begins reading again. */
  pause(): void;
  resume(): void;
  /** Resolves when it is closed, by whichever side. */
  readonly closed: Promise<void>;
  close(): Promise<void>;
}

interface PendingCall {
  readonly answered: (result: unknown) => void;
  readonly failed: (error: XftpError) => void;
}

/** The parts of a message of the agent. */
interface IncomingMessage {
  readonly id?: unknown;
  readonly result?: unknown;
  readonly error?: unknown;
  readonly method?: unknown;
  readonly params?: unknown;
}

/**
 * Connects to an agent.
 *
 * @throws XftpError AGENT_UNREACHABLE, UNAUTHENTICATED, FORBIDDEN, LIMIT_EXCEEDED or CANCELLED.
 */
export async function dialAgent(endpoint: AgentEndpoint, signal?: AbortSignal): Promise<AgentLink> {
  if (isAborted(signal)) throw cancelled();
  const socket = openSocket(endpoint);
  const onAbort = (): void => {
    socket.terminate();
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    await opened(socket);
  } catch (error) {
    throw isAborted(signal) ? cancelled() : error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
  return linkOf(socket);
}

function openSocket({ url, socketPath, token }: AgentEndpoint): WebSocket {
  const options = {
    headers: { Authorization: `Bearer ${token}` },
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE,
    handshakeTimeout: HANDSHAKE_TIMEOUT,
  };
  try {
    if (socketPath !== undefined)
      return new WebSocket('ws://localhost/', {
        ...options,
        createConnection: () => connect({ path: socketPath }),
      });
    if (url !== undefined) return new WebSocket(url, options);
  } catch (cause) {
    throw new XftpError('INVALID_ARGUMENT', 'The address or the token of the agent is wrong.', { cause });
  }
  throw new XftpError('INVALID_ARGUMENT', 'The agent has neither an address nor a socket.');
}

function opened(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('unexpected-response', (_request, response) => {
      reject(refusalOf(response.statusCode));
      socket.terminate();
    });
    socket.on('error', (cause) => {
      reject(
        new XftpError('AGENT_UNREACHABLE', 'The agent cannot be reached; is it running?', {
          cause,
          hint: START_HINT,
        }),
      );
    });
  });
}

function refusalOf(status: number | undefined): XftpError {
  switch (status) {
    case 401:
      return new XftpError('UNAUTHENTICATED', 'The agent does not know this token.');
    case 403:
      return new XftpError('FORBIDDEN', 'The agent does not accept connections from here.');
    case 503:
      return new XftpError('LIMIT_EXCEEDED', 'The agent has too many connections already.');
    default:
      return new XftpError('AGENT_UNREACHABLE', 'What answers at the address of the agent is no agent.');
  }
}

function cancelled(): XftpError {
  return new XftpError('CANCELLED', 'The call was cancelled.');
}

function linkOf(socket: WebSocket): AgentLink {
  const pending = new Map<number, PendingCall>();
  const listeners = new Map<string, (told: Told) => void>();
  let lastId = 0;

  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      const lost = new XftpError(
        'CONNECTION_LOST',
        'The connection to the agent broke; it may have done the call.',
      );
      for (const { failed } of pending.values()) failed(lost);
      pending.clear();
      resolve();
    });
  });
  socket.on('message', (data: Buffer) => {
    const message = read(data);
    if (message === undefined) socket.terminate();
    else if (message.method === 'event') tell(message.params);
    else if (message.method === 'position') tell({ ...(message.params as object), type: 'position' });
    else answer(message);
  });

  function tell(params: unknown): void {
    // The agent's contract says what the parameters of an event and of a position are.
    const { subscription, ...told } = params as Told & { subscription: string };
    listeners.get(subscription)?.(told); // The same without the name of the subscription.
  }

  function answer({ id, result, error }: IncomingMessage): void {
    const call = typeof id === 'number' ? pending.get(id) : undefined;
    if (error === undefined) call?.answered(result);
    else call?.failed(failureOf(error));
  }

  /** `atOnce` is called before the next message is looked at. */
  function send(
    method: string,
    params: object,
    { signal, timeout }: CallOptions,
    atOnce?: (result: unknown) => void,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(cancelled());
        return;
      }
      const id = ++lastId;
      const end = (): void => {
        pending.delete(id);
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      const failed = (error: XftpError): void => {
        end();
        reject(error);
      };
      const onAbort = (): void => {
        failed(cancelled());
      };
      const timer =
        timeout === undefined
          ? undefined
          : setTimeout(() => {
              failed(new XftpError('STALLED', `The agent did not answer within ${String(timeout)} ms.`));
            }, timeout);
      signal?.addEventListener('abort', onAbort, { once: true });
      pending.set(id, {
        answered: (result) => {
          end();
          atOnce?.(result);
          resolve(result);
        },
        failed,
      });
      socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }), (error) => {
        if (error instanceof Error)
          failed(new XftpError('CONNECTION_LOST', 'The connection to the agent broke.', { cause: error }));
      });
    });
  }

  return {
    isOpen: () => socket.readyState === socket.OPEN,
    call: (method, params, options = {}) => send(method, params, options),
    subscribe: async (params, listener, options = {}) => {
      const result = await send('events.subscribe', params, options, (info) => {
        const { subscription } = info as MethodResult<'events.subscribe'>; // By the agent's contract.
        listeners.set(subscription, listener);
      });
      return result as MethodResult<'events.subscribe'>; // By the agent's contract.
    },
    pause: () => {
      if (socket.readyState === socket.OPEN) socket.pause();
    },
    resume: () => {
      if (socket.isPaused) socket.resume();
    },
    closed,
    close: async () => {
      const timer = setTimeout(() => {
        socket.terminate();
      }, CLOSE_TIMEOUT);
      socket.resume();
      socket.close(1000);
      await closed;
      clearTimeout(timer);
    },
  };
}

function read(data: Buffer): IncomingMessage | undefined {
  try {
    const value: unknown = JSON.parse(data.toString('utf8'));
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the signal has aborted by now; a property would be taken for one that does not change. */
export function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

/** Whether connecting again may help. */
export function isConnectionFailure(error: unknown): boolean {
  return isXftpError(error) && (error.temporary || error.code === 'LIMIT_EXCEEDED');
}
