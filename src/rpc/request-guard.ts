import type { IncomingMessage } from 'node:http';

import type { AgentApi, TokenInfo } from '../agent/index.js';

import { MAX_TOKEN_LENGTH } from './limits.js';

/** Subprotocol by which browsers, which cannot set headers, show their token. */
const BEARER_PROTOCOL = 'bearer.';
/** Names by which this machine calls itself; any other `Host` is a page that was made to point here. */
const LOOPBACK_NAMES: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** What a request is refused with. */
export interface Refusal {
  readonly status: 401 | 403;
  readonly error: 'unauthenticated' | 'forbidden';
}

const UNAUTHENTICATED: Refusal = { status: 401, error: 'unauthenticated' };
const FORBIDDEN: Refusal = { status: 403, error: 'forbidden' };

/** Decides who gets in. */
export interface RequestGuard {
  /** Whether the request may come from a local program or an allowed page; undefined if so. */
  readonly refuseOrigin: (request: IncomingMessage) => Refusal | undefined;
  /** The token that the request shows, or why it is refused. */
  readonly authenticate: (request: IncomingMessage) => TokenInfo | Refusal;
}

/** The guard of one listener; requests over a Unix socket may name any host. */
export function createGuard(
  agent: AgentApi,
  { allowedOrigins, anyHost }: { readonly allowedOrigins: readonly string[]; readonly anyHost: boolean },
): RequestGuard {
  return {
    refuseOrigin: ({ headers: { host, origin } }) => {
      if (!anyHost && !isLoopbackHost(host)) return FORBIDDEN;
      return origin === undefined || allowedOrigins.includes(origin) ? undefined : FORBIDDEN;
    },
    authenticate: (request) => {
      const secret = bearerOf(request);
      if (secret === undefined || secret === '' || secret.length > MAX_TOKEN_LENGTH) return UNAUTHENTICATED;
      return agent.authenticate(secret) ?? UNAUTHENTICATED;
    },
  };
}

/** Whether the request was refused. */
export function isRefusal(value: TokenInfo | Refusal): value is Refusal {
  return 'status' in value;
}

function isLoopbackHost(host: string | undefined): boolean {
  return host !== undefined && LOOPBACK_NAMES.has(host.toLowerCase().replace(/:\d{1,5}$/, ''));
}

function bearerOf({ headers }: IncomingMessage): string | undefined {
  if (headers.authorization !== undefined) return /^Bearer ([\x21-\x7e]+)$/i.exec(headers.authorization)?.[1];
  const offered = headers['sec-websocket-protocol']?.split(',').map((text) => text.trim()) ?? [];
  return bearerProtocol(offered)?.slice(BEARER_PROTOCOL.length);
}

/** The subprotocol that carries a token; browsers want to be told that it was accepted. */
export function bearerProtocol(offered: Iterable<string>): string | undefined {
  for (const protocol of offered) if (protocol.startsWith(BEARER_PROTOCOL)) return protocol;
  return undefined;
}
