import type { RawData, WebSocket } from 'ws';

import type { AgentApi, TokenInfo } from '../agent/index.js';
import { XftpError } from '../protocol/index.js';

import { failureObject, INTERNAL_OBJECT } from './call-errors.js';
import type { Dispatcher, Report } from './dispatcher.js';
import { CLOSE_NOT_TEXT, CLOSE_REVOKED, eventOutlet } from './event-outlet.js';
import { type EventSubscription, openSubscription } from './event-subscription.js';
import { type Answer, errorAnswer, isAnswer, readMessage, type Request } from './json-rpc.js';
import type { RpcLimits } from './limits.js';
import type { Caller, SubscriptionInfo, SubscriptionQuery } from './method.js';

/** What all connections share. */
export interface ConnectionServices {
  readonly agent: AgentApi;
  readonly dispatch: Dispatcher;
  readonly discover: Caller['discover'];
  readonly disconnectToken: Caller['disconnectToken'];
  readonly limits: RpcLimits;
  readonly report: Report;
}

/** One authenticated client. */
export interface Connection {
  readonly token: TokenInfo;
  readonly socket: WebSocket;
  /** Drops the client if it has not answered the last beat, else asks again. */
  readonly beat: () => void;
  /** Ends it because its token was revoked: from now on it gets nothing done and is told nothing. */
  readonly revoke: () => void;
}

/** Answers the calls of one client and tells it its events, until its socket closes. */
export function serveConnection(
  socket: WebSocket,
  token: TokenInfo,
  services: ConnectionServices,
): Connection {
  const { agent, dispatch, limits, report } = services;
  const gone = new AbortController();
  const subscriptions = new Map<string, EventSubscription>();
  const outlet = eventOutlet(socket, limits, (error) => {
    report('Events could not be told.', error);
  });
  let inFlight = 0;
  let made = 0;
  let alive = true;
  let revoked = false;

  socket.on('pong', () => {
    alive = true;
  });
  // What is wrong with the client's frames ends its connection; nobody else needs to know.
  socket.on('error', () => undefined);
  socket.on('close', leave);
  socket.on('message', (data, isBinary) => {
    // A client that does not answer the close frame could go on asking.
    if (revoked) return;
    if (isBinary) socket.close(CLOSE_NOT_TEXT, 'messages are text');
    else void receive(textOf(data));
  });

  function leave(): void {
    gone.abort();
    for (const subscription of subscriptions.values()) subscription.stop();
    subscriptions.clear();
  }

  function bar(): void {
    revoked = true;
    leave();
    const cut = setTimeout(() => {
      socket.terminate();
    }, limits.revoked);
    socket.once('close', () => {
      clearTimeout(cut);
    });
  }

  function sayRevoked(): void {
    socket.close(CLOSE_REVOKED, 'token revoked');
  }

  async function receive(text: string): Promise<void> {
    const afterwards: (() => void)[] = [];
    const finish = (): void => {
      inFlight -= 1;
      for (const work of afterwards) work();
      if (socket.isPaused && socket.bufferedAmount <= limits.answerBytes) socket.resume();
    };
    const { batch, parts } = readMessage(text, limits.batchSize);
    const busy = inFlight >= limits.callsInFlight;
    // What was not answered yet counts until it is on its way, so that answers do not pile up for who does not read.
    inFlight += 1;
    try {
      const answers: Answer[] = [];
      // The calls of a batch are done in their order.
      for (const part of parts) {
        const answer = isAnswer(part) ? part : await answerOf(part, busy, afterwards);
        if (answer !== undefined) answers.push(answer);
      }
      if (answers.length === 0) finish();
      else send(batch ? answers : (answers[0] ?? answers), finish);
    } catch (error) {
      report('A message met an error that was not foreseen.', error);
      finish();
    }
  }

  async function answerOf(
    request: Request,
    busy: boolean,
    afterwards: (() => void)[],
  ): Promise<Answer | undefined> {
    const outcome = revoked ? REVOKED : busy ? TOO_BUSY : await dispatch(request, callerOf(afterwards));
    const { id } = request;
    return id === undefined ? undefined : { jsonrpc: '2.0', id, ...outcome };
  }

  function callerOf(afterwards: (() => void)[]): Caller {
    return {
      token,
      signal: gone.signal,
      discover: services.discover,
      disconnectToken: (tokenId) => {
        // The answer to who gives up its own token still goes out.
        if (tokenId === token.id && !revoked) {
          bar();
          afterwards.push(sayRevoked);
        }
        services.disconnectToken(tokenId);
      },
      afterAnswer: (work) =>
        afterwards.push(() => {
          try {
            work();
          } catch (error) {
            report('What follows a call met an error that was not foreseen.', error);
          }
        }),
      subscriptions: {
        subscribe: (query) => {
          const { info, start } = subscribe(query);
          afterwards.push(start);
          return info;
        },
        unsubscribe,
      },
    };
  }

  function subscribe(query: SubscriptionQuery): { info: SubscriptionInfo; start: () => void } {
    if (subscriptions.size >= limits.subscriptions)
      throw new XftpError(
        'LIMIT_EXCEEDED',
        `A connection has at most ${String(limits.subscriptions)} subscriptions.`,
      );
    made += 1;
    const name = `s${String(made)}`;
    const { replayPage: page, position: positionMs } = limits;
    const subscription = openSubscription({ agent, name, token, query, outlet, page, positionMs });
    // A client that is gone already leaves nothing behind.
    if (gone.signal.aborted) subscription.stop();
    else subscriptions.set(name, subscription);
    return subscription;
  }

  function unsubscribe(name: string): void {
    const subscription = subscriptions.get(name);
    if (subscription === undefined)
      throw new XftpError('NOT_FOUND', 'This connection has no such subscription.');
    subscription.stop();
    subscriptions.delete(name);
  }

  function send(answers: Answer | readonly Answer[], sent: () => void): void {
    socket.send(stringify(answers), sent);
    // Who does not read answers is not read either.
    if (socket.bufferedAmount > limits.answerBytes && socket.readyState === socket.OPEN) socket.pause();
  }

  /** An answer that is too long for a string is an error. */
  function stringify(answers: Answer | readonly Answer[]): string {
    try {
      return JSON.stringify(answers);
    } catch (error) {
      report('An answer cannot be written as JSON.', error);
      const id = 'jsonrpc' in answers ? answers.id : null;
      return JSON.stringify(errorAnswer(id, INTERNAL_OBJECT));
    }
  }

  return {
    token,
    socket,
    beat: () => {
      if (!alive) {
        socket.terminate();
        return;
      }
      alive = false;
      socket.ping();
    },
    revoke: () => {
      if (revoked) return;
      bar();
      sayRevoked();
    },
  };
}

const TOO_BUSY = {
  error: failureObject(
    new XftpError('LIMIT_EXCEEDED', 'Too many calls are under way on this connection; wait for answers.'),
  ),
} as const;

const REVOKED = {
  error: failureObject(new XftpError('FORBIDDEN', 'The token of this connection was revoked.')),
} as const;

function textOf(data: RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString('utf8');
  return Buffer.isBuffer(data) ? data.toString('utf8') : Buffer.from(data).toString('utf8');
}
