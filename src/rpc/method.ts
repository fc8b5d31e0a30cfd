import type * as z from 'zod';

import type { AgentApi, TokenInfo, TokenScope } from '../agent/index.js';
import type { FailureCode } from '../protocol/index.js';

/** What a subscription is to tell: durable events after `since`, or from now on; all types and transfers unless told. */
export interface SubscriptionQuery {
  readonly since?: number;
  readonly types?: readonly string[];
  readonly transferId?: string;
  /** Whether it tells its position now and then. */
  readonly positions?: boolean;
}

/** A subscription that was made. */
export interface SubscriptionInfo {
  readonly subscription: string;
  /** Durable events with greater numbers follow, each once. */
  readonly seq: number;
  /** Whether some of those asked for are not there any more. */
  readonly lagged: boolean;
  readonly oldest: number;
}

/** The subscriptions of the connection that a call came over. */
export interface Subscriptions {
  /**
   * Events follow after the answer of the call.
   *
   * @throws XftpError LIMIT_EXCEEDED when the connection has too many.
   */
  readonly subscribe: (query: SubscriptionQuery) => SubscriptionInfo;
  /** @throws XftpError NOT_FOUND. */
  readonly unsubscribe: (subscription: string) => void;
}

/** Who calls, and over what. */
export interface Caller {
  readonly token: TokenInfo;
  readonly subscriptions: Subscriptions;
  /** Aborts when the connection is gone. */
  readonly signal: AbortSignal;
  /** The contract as an OpenRPC document. */
  readonly discover: () => Readonly<Record<string, unknown>>;
  /** Ends the connections of a token that was revoked; of this one, only the answer to the call still goes out. */
  readonly disconnectToken: (tokenId: number) => void;
  /** Has something done when the answer of this call is on its way. */
  readonly afterAnswer: (work: () => void) => void;
}

/** One method of the RPC, with all that its callers, its documentation and its dispatcher need. */
export interface Method<P extends z.ZodType, R extends z.ZodType> {
  /** A few words. */
  readonly summary: string;
  readonly description: string;
  readonly scope: TokenScope;
  /** Of an object: parameters are given by name. */
  readonly params: P;
  readonly result: R;
  /** Failures that callers should expect, beyond those that every method may have. */
  readonly errors?: readonly FailureCode[];
  handler(agent: AgentApi, params: z.output<P>, caller: Caller): z.output<R> | Promise<z.output<R>>;
}

/** A method of the table; its handler is checked against its schemas. */
export function method<P extends z.ZodType, R extends z.ZodType>(definition: Method<P, R>): Method<P, R> {
  return definition;
}
