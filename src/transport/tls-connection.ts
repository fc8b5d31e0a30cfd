import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';

import { ALPN_XFTP } from '../protocol/index.js';
import { type Endpoint, formatEndpoint } from './endpoint.js';
import { cancelled, connectFailure, stalled, throwIfAborted } from './network-failure.js';
import type { Hop } from './route.js';
import { connectThroughProxy } from './socks-proxy.js';

/** How a connection is opened. */
export interface ConnectOptions {
  /** Longest time in all, in milliseconds; through a proxy, for its part and for TLS each. */
  readonly connectMs: number;
  readonly signal?: AbortSignal;
  /** Called when the TCP connection is there and TLS begins. */
  readonly onConnect?: () => void;
}

/** The reference client's TLS parameters (protocol reference, section 1.1). */
const TLS_PARAMETERS = {
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-CHACHA20-POLY1305',
  sigalgs: 'ed448:ed25519',
  ecdhCurve: 'X448:X25519',
} as const;

/** Idle time before TCP keep-alive probes begin, in milliseconds (section 1.6). */
const KEEP_ALIVE_IDLE_MS = 30_000;

/**
 * Opens a TLS connection to a relay, without SNI and without resumption. The relay's identity is *not* checked
 * here: certificates are self-signed and the caller knows the fingerprint.
 *
 * @throws XftpError CONNECT_FAILED, PROXY_FAILED, TLS_FAILED, STALLED (after `connectMs` milliseconds) or CANCELLED
 */
export async function openTlsConnection(hop: Hop, options: ConnectOptions): Promise<TLSSocket> {
  throwIfAborted(options.signal);
  const { via } = hop;
  const tcp = via === undefined ? connectDirectly(hop) : await connectThroughProxy(hop, via, options);
  return startTls(tcp.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_IDLE_MS), hop, options);
}

function connectDirectly({ host, port }: Endpoint): Socket {
  return connectTcp({ host, port });
}

function startTls(
  tcp: Socket,
  hop: Hop,
  { connectMs, signal, onConnect }: ConnectOptions,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const place = formatEndpoint(hop);
    let tls: TLSSocket | undefined;
    const shakeHands = (): void => {
      onConnect?.();
      tls = connectTls({
        ...TLS_PARAMETERS,
        socket: tcp,
        servername: '',
        ALPNProtocols: [ALPN_XFTP],
        rejectUnauthorized: false,
      });
      tls.once('secureConnect', onSecure).on('error', onError).once('close', onClose);
    };
    const settle = (error?: Error): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      tls?.off('secureConnect', onSecure).off('error', onError).off('close', onClose);
      tcp.off('connect', shakeHands).off('error', onError).off('close', onClose);
      if (error === undefined && tls !== undefined) {
        resolve(tls);
        return;
      }
      // Late errors of a socket that is given up tell nothing new.
      tls?.on('error', () => undefined).destroy();
      tcp.on('error', () => undefined).destroy();
      reject(error ?? connectFailure(place, undefined));
    };
    const onSecure = (): void => {
      settle();
    };
    const onError = (error: Error): void => {
      settle(connectFailure(place, error));
    };
    const onClose = (): void => {
      settle(connectFailure(place, undefined));
    };
    const onAbort = (): void => {
      settle(cancelled());
    };
    const timer = setTimeout(() => {
      settle(stalled(place, connectMs));
    }, connectMs);
    // Not before there is a connection: Node tries several addresses of a name, each with a new handle, and TLS on the
    // handle of one that failed crashes the process.
    tcp.on('error', onError).once('close', onClose);
    if (tcp.connecting) tcp.once('connect', shakeHands);
    else shakeHands();
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
