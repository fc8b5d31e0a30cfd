import type { AgentEvent, MethodName, MethodParams, MethodResult } from '../rpc/index.js';

/** Where an agent listens, and the token to show there. */
export interface AgentEndpoint {
  /** `ws://127.0.0.1:PORT/`; not used when there is a socket. */
  readonly url?: string;
  /** Path of a Unix socket. */
  readonly socketPath?: string;
  readonly token: string;
}

/** How to reach an agent; the agent of the user's data folder unless told. */
export interface ConnectOptions {
  /** Data folder of the agent; see `findAgent`. */
  readonly dataDir?: string;
  /** Instead of the token in the data folder. */
  readonly token?: string;
  /** Instead of looking in a data folder. Whoever listens there by now is shown the token. */
  readonly endpoint?: AgentEndpoint;
  /** Ends the attempt to connect. */
  readonly signal?: AbortSignal;
}

/** Options of one call. */
export interface CallOptions {
  /** Stops waiting for the answer, with CANCELLED; what the agent has begun it may finish. */
  readonly signal?: AbortSignal;
  /** Milliseconds after which the call fails with STALLED; without a limit unless given. */
  readonly timeout?: number;
}

/** Parameters of a call: left out when the method needs none. */
export type CallArguments<N extends MethodName> =
  Record<string, never> extends MethodParams<N>
    ? [params?: MethodParams<N>, options?: CallOptions]
    : [params: MethodParams<N>, options?: CallOptions];

/** The methods `GROUP.name` as functions `name`. */
export type MethodGroup<G extends string> = {
  readonly [N in MethodName as N extends `${G}.${infer M}` ? M : never]: (
    ...args: CallArguments<N>
  ) => Promise<MethodResult<N>>;
};

/** Which events to tell. */
export interface EventsOptions {
  /** Number of the last event seen: what came after it is told first. From now on unless given. */
  readonly since?: number;
  readonly types?: readonly AgentEvent['type'][];
  readonly transferId?: string;
  /** Called when some events after the last one seen are not kept any more; without it the iteration fails. */
  readonly onLagged?: (lag: { readonly since: number; readonly oldest: number }) => void;
  /**
   * Called now and then while events come that were not asked for: everything up to this number was told. Whoever keeps
   * the last `seq` keeps this one, too.
   */
  readonly onPosition?: (seq: number) => void | Promise<void>;
  /** Ends the iteration. */
  readonly signal?: AbortSignal;
}

/** A connection to an agent that is made anew when it breaks. Failures are XftpErrors. */
export interface AgentClient {
  /**
   * Calls a method. A call that was under way when the connection broke fails with CONNECTION_LOST: whether the agent
   * did it is unknown. The next call connects again.
   */
  call<N extends MethodName>(method: N, ...args: CallArguments<N>): Promise<MethodResult<N>>;
  readonly agent: MethodGroup<'agent'>;
  readonly transfers: MethodGroup<'transfers'>;
  readonly servers: MethodGroup<'servers'>;
  readonly settings: MethodGroup<'settings'>;
  readonly stats: MethodGroup<'stats'>;
  readonly tokens: MethodGroup<'tokens'>;
  /**
   * Events as they come, over as many connections as it takes: no durable event is left out or told twice.
   * It fails when the agent refuses the client, or when events were lost and there is no `onLagged`.
   */
  events(options?: EventsOptions): AsyncIterableIterator<AgentEvent>;
  /** Ends the connection and all that waits for it. */
  close(): Promise<void>;
}
