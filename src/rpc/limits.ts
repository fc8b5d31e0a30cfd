import { MAX_DESCRIPTION_LENGTH } from '../protocol/index.js';

/** What one client, or all of them, may use. */
export interface RpcLimits {
  /** Bytes of a message from a client; longer ones close the connection with 1009. */
  readonly messageBytes: number;
  /** Calls in one batch. */
  readonly batchSize: number;
  /** Connections at once. */
  readonly connections: number;
  /** Calls of one connection that are not answered yet. */
  readonly callsInFlight: number;
  /** Subscriptions of one connection. */
  readonly subscriptions: number;
  /** Bytes of events that wait on one connection; with more it is closed with 1013. */
  readonly eventBytes: number;
  /** Bytes that wait on one connection beyond which progress is not told any more. */
  readonly progressBytes: number;
  /** Bytes of answers that wait on one connection beyond which no more of its calls are read. */
  readonly answerBytes: number;
  /** Durable events that are read at once when the past is told. */
  readonly replayPage: number;
  /** Milliseconds after which a subscription tells its position, when events were left out by its filter. */
  readonly position: number;
  /** Milliseconds between two pings; a client that did not answer the last one is dropped. */
  readonly heartbeat: number;
  /** Milliseconds for the head of a request, after which an unauthenticated socket is closed. */
  readonly head: number;
  /** Milliseconds that clients have to say goodbye when the server stops. */
  readonly goodbye: number;
  /** Milliseconds that the client of a revoked token has to close its connection. */
  readonly revoked: number;
}

export const RPC_LIMITS: RpcLimits = {
  // `transfers.receive` of the longest description, whose line ends and quotes take two bytes in JSON, and the rest.
  messageBytes: 2 * MAX_DESCRIPTION_LENGTH + 64 * 1024,
  // More than a screen of a front end asks for.
  batchSize: 100,
  // Front ends, bots and scripts of one user.
  connections: 64,
  // Calls that wait for relays are few; more is a client that does not wait for answers.
  callsInFlight: 64,
  // A window or a transfer each.
  subscriptions: 16,
  // Some ten thousand events: minutes of a busy agent.
  eventBytes: 8 * 1024 * 1024,
  // What a client that reads has behind it within a moment; progress that is older is worth nothing.
  progressBytes: 256 * 1024,
  // As for events.
  answerBytes: 8 * 1024 * 1024,
  // Some 200 KiB, so that a client with 16 subscriptions stays below `eventBytes`.
  replayPage: 200,
  // Events are kept for days; a busy agent makes few of them within so long.
  position: 10_000,
  // NATs and proxies do not matter on loopback; this finds clients that were stopped or lost.
  heartbeat: 30_000,
  // On loopback a head comes at once.
  head: 5_000,
  // An answer that is under way is out in far less.
  goodbye: 2_000,
  // Nothing is done for it any more; this is for the answer to who gave up its own token.
  revoked: 1_000,
};

/** HTTP connections at once, beyond those of WebSockets: handshakes, health checks and metrics. The oldest goes first. */
export const MAX_SPARE_SOCKETS = 64;
/** Longest token that is looked up; ours are far shorter. */
export const MAX_TOKEN_LENGTH = 512;
