import { EventEmitter } from 'node:events';
import type { ClientRequest } from 'node:http';
import { connect, type Socket } from 'node:net';

import { isXftpError, parseHost, XftpError } from '../protocol/index.js';
import { rejectOnAbort } from './abort.js';
import { type Endpoint, formatEndpoint } from './endpoint.js';
import { stalled, throwIfAborted, UNREACHABLE } from './network-failure.js';

/** A SOCKS5 proxy (RFC 1928), such as Tor's. It looks names up itself: none is ever looked up here. */
export interface SocksProxy {
  readonly host: string;
  readonly port: number;
}

/**
 * What a proxy is told instead of a name and a password (RFC 1929), 1 to 255 bytes each. Tor gives connections with
 * different ones different circuits (IsolateSOCKSAuth, on by default), and wants no account.
 */
export interface SocksCredentials {
  readonly user: string;
  readonly password: string;
}

/** A proxy, and what it is told. */
export interface ProxyUse {
  readonly proxy: SocksProxy;
  readonly credentials: SocksCredentials;
}

/** Where Tor listens unless told otherwise. */
const DEFAULT_PROXY: SocksProxy = { host: '127.0.0.1', port: 9050 };
/** Longest wait for a proxy to take a connection and to answer the greeting, in ms: it asks nobody for that. */
const GREETING_MS = 2000;
/** Version 5, two ways to log in: none, and by name and password (RFC 1928, section 3). */
const GREETING = Uint8Array.of(5, 2, 0, 2);
/** How `socks` begins its message when the proxy has answered that it could not connect. */
const REFUSED = 'Socks5 proxy rejected connection';
/** What `socks` puts for an answer that is none. */
const UNKNOWN_REASON = 'undefined';
const TIMED_OUT = 'Proxy connection timed out';

/**
 * Reads `HOST:PORT`, `HOST` or `:PORT`, with `socks5://` or `socks5h://` before it if one likes. What is missing is as
 * with Tor: 127.0.0.1 and 9050.
 *
 * @throws XftpError INVALID_ARGUMENT. The message does not repeat the text, which might hold a password.
 */
export function parseSocksProxy(text: string): SocksProxy {
  const place = text.replace(/^socks5h?:\/\//i, '').replace(/\/$/, '');
  if (place.includes('@'))
    throw invalidProxy('user names and passwords are made by this program, for each circuit its own');
  const [, host = '', portText] = /^(\[.*\]|[^:]*)(?::(\d{1,5}))?$/.exec(place) ?? [];
  if (place === '' || (host === '' && portText === undefined))
    throw invalidProxy('it is to be HOST:PORT, such as 127.0.0.1:9050');
  const port = portText === undefined ? DEFAULT_PROXY.port : Number(portText);
  if (port < 1 || port > 65535) throw invalidProxy('its port is not between 1 and 65535');
  if (host === '') return { ...DEFAULT_PROXY, port };
  try {
    return { host: parseHost(host).text, port };
  } catch (cause) {
    throw invalidProxy('its host is neither a name nor an IP address', cause);
  }
}

function invalidProxy(reason: string, cause?: unknown): XftpError {
  return new XftpError('INVALID_ARGUMENT', `This is not the address of a SOCKS proxy: ${reason}.`, { cause });
}

/**
 * Has a proxy connect to a relay.
 *
 * @param options `connectMs`: longest time, in milliseconds
 * @throws XftpError PROXY_FAILED when the proxy is not there or does not do its work, CONNECT_FAILED when it could not
 *   reach the relay, STALLED or CANCELLED
 */
export async function connectThroughProxy(
  { host, port }: Endpoint,
  { proxy, credentials }: ProxyUse,
  { connectMs, signal }: { readonly connectMs: number; readonly signal?: AbortSignal },
): Promise<Socket> {
  throwIfAborted(signal);
  // Most programs never need it.
  const { SocksProxyAgent } = await import('socks-proxy-agent');
  throwIfAborted(signal);
  const agent = new SocksProxyAgent(urlOf(proxy, credentials));
  agent.timeout = connectMs;
  // It only tells the request which proxy it took.
  const request = new EventEmitter() as unknown as ClientRequest;
  const connecting = agent.connect(request, { host, port, secureEndpoint: false });
  try {
    const socket = await rejectOnAbort(connecting, signal);
    // The agent's time limit is for requests; those of a session are its own.
    return socket.setTimeout(0).removeAllListeners('timeout');
  } catch (error) {
    // What still comes, within the time limit, is for nobody.
    void connecting.then(
      (socket) => socket.destroy(),
      () => undefined,
    );
    const silent =
      error instanceof Error && error.message === TIMED_OUT && !(await proxyAnswers(proxy, signal));
    throwIfAborted(signal);
    if (silent)
      throw new XftpError('PROXY_FAILED', `The SOCKS proxy ${formatEndpoint(proxy)} does not answer.`, {
        cause: error,
      });
    throw proxyFailure(error, { place: formatEndpoint({ host, port }), proxy, connectMs });
  }
}

/** Whether a SOCKS5 proxy answers: soon, and without asking it for anything. */
export function proxyAnswers({ host, port }: SocksProxy, signal?: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (answers: boolean): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
      socket.destroy();
      resolve(answers);
    };
    const giveUp = (): void => {
      settle(false);
    };
    const socket = connect({ host, port });
    const timer = setTimeout(giveUp, GREETING_MS);
    signal?.addEventListener('abort', giveUp, { once: true });
    socket
      .once('connect', () => socket.write(GREETING))
      .once('data', ([version]: Buffer) => {
        settle(version === GREETING[0]);
      })
      .once('close', giveUp)
      .on('error', giveUp);
  });
}

function urlOf({ host, port }: SocksProxy, { user, password }: SocksCredentials): string {
  const account = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
  // The h is for looking names up at the proxy.
  return `socks5h://${account}@${formatEndpoint({ host, port })}`;
}

function proxyFailure(
  cause: unknown,
  {
    place,
    proxy,
    connectMs,
  }: { readonly place: string; readonly proxy: SocksProxy; readonly connectMs: number },
): XftpError {
  if (isXftpError(cause)) return cause;
  const name = `the SOCKS proxy ${formatEndpoint(proxy)}`;
  const message = cause instanceof Error ? cause.message : '';
  if (message.startsWith(REFUSED)) {
    const reason = message.slice(REFUSED.length).replace(/^ - /, '');
    if (!reason.startsWith(UNKNOWN_REASON))
      return new XftpError('CONNECT_FAILED', `Cannot connect to ${place}: ${name} answers ${reason}.`, {
        cause,
      });
  }
  if (message === TIMED_OUT) return stalled(place, connectMs);
  // Of an error of the system only the message is handed on: `connect ECONNREFUSED 127.0.0.1:9050`.
  const unreachable = UNREACHABLE[/\bE[A-Z]+\b/.exec(message)?.[0] ?? ''];
  return new XftpError(
    'PROXY_FAILED',
    unreachable === undefined
      ? `What listens at ${formatEndpoint(proxy)} does not do the work of a SOCKS5 proxy.`
      : `Cannot connect to ${name}: ${unreachable}.`,
    { cause },
  );
}
