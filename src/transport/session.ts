import {
  ALPN_XFTP,
  BLOCK_SIZE,
  decodeBareError,
  decodeServerHello,
  encodeClientHandshake,
  formatWireError,
  negotiateVersion,
  type ServerAddress,
  showWireError,
  SUPPORTED_VERSIONS,
  VERSION_INITIAL,
  type WireError,
  XftpError,
} from '../protocol/index.js';
import { Channel, type Exchange, type ExchangeOptions } from './channel.js';
import type { Deadlines } from './deadlines.js';
import { type Endpoint, formatEndpoint } from './endpoint.js';
import { throwIfAborted } from './network-failure.js';
import { checkHelloIdentity, checkTlsIdentity } from './relay-identity.js';
import type { Reply } from './reply-receiver.js';
import { type Hop, hopsTo, type Route } from './route.js';
import { openTlsConnection } from './tls-connection.js';

/** What a handshake settles. */
interface Handshake {
  readonly version: number;
  /** The relay's X25519 session key (SPKI); none in version 1 without ALPN. */
  readonly relayKey?: Uint8Array;
}

/** One TLS and HTTP/2 connection to a relay after its handshake. */
export class Session {
  readonly server: ServerAddress;
  /** `host:port` of the relay, for messages. */
  readonly place: string;
  /** TLS session identifier, part of every transmission. */
  readonly sessionId: Uint8Array;
  /** Negotiated protocol version. */
  readonly version: number;
  /** The relay's X25519 session key (SPKI); none in version 1 without ALPN. */
  readonly relayKey: Uint8Array | undefined;
  /** When its handshake ended, on the monotonic clock, in ms. */
  readonly openedAt = performance.now();
  readonly #channel: Channel;

  constructor(
    channel: Channel,
    facts: Handshake & {
      readonly server: ServerAddress;
      readonly place: string;
      readonly sessionId: Uint8Array;
    },
  ) {
    this.#channel = channel;
    this.server = facts.server;
    this.place = facts.place;
    this.sessionId = facts.sessionId;
    this.version = facts.version;
    this.relayKey = facts.relayKey;
  }

  /** Requests under way. */
  get active(): number {
    return this.#channel.active;
  }

  /** Whether new requests may be made. */
  get usable(): boolean {
    return this.#channel.usable;
  }

  /** Resolves when the connection has ended. */
  get closed(): Promise<void> {
    return this.#channel.closed;
  }

  /** Sends a request and waits for the whole response; see {@link Channel.exchange}. */
  exchange(request: Exchange, options?: ExchangeOptions): Promise<Reply> {
    return this.#channel.exchange(request, options);
  }

  /** Takes no more requests, and ends the connection when the last one is done. */
  retire(): void {
    this.#channel.retire();
  }

  /** Takes no more requests after a failed upload, and ends soon; see {@link Channel.abandon}. */
  abandon(): void {
    this.#channel.abandon();
  }

  /** Ends the connection at once; requests under way fail. */
  close(): void {
    this.#channel.destroy();
  }
}

/** A step on the way to a session, in this order. */
export type OpenStep = 'tcp' | 'tls' | 'identity' | 'handshake';

/** How a session is opened. */
export interface OpenOptions {
  readonly deadlines: Deadlines;
  readonly signal?: AbortSignal;
  /** The proxy to go through, and what for; none unless given. */
  readonly route?: Route;
  /** Called when a step has succeeded. Trying another host begins anew. */
  readonly onStep?: (step: OpenStep) => void;
}

/**
 * Connects to a relay, checks who it is and shakes hands. Its hosts are tried in turn until one connects
 * (`hopsTo`).
 *
 * @throws XftpError of the last host tried; IDENTITY_MISMATCH at once, since another host would not mend it;
 *   TOR_REQUIRED if no host may be used
 */
export async function openSession(server: ServerAddress, options: OpenOptions): Promise<Session> {
  let failure: unknown;
  for (const hop of hopsTo(server, options.route)) {
    throwIfAborted(options.signal);
    try {
      return await openSessionAt(server, hop, options);
    } catch (error) {
      if (!(error instanceof XftpError && error.temporary)) throw error;
      failure = error;
    }
  }
  throw failure;
}

async function openSessionAt(
  server: ServerAddress,
  hop: Hop,
  { deadlines, signal, onStep }: OpenOptions,
): Promise<Session> {
  const place = formatEndpoint(hop);
  const abort = signal === undefined ? {} : { signal };
  const socket = await openTlsConnection(hop, {
    connectMs: deadlines.connectMs,
    ...abort,
    onConnect: () => onStep?.('tcp'),
  });
  onStep?.('tls');
  let channel: Channel | undefined;
  try {
    const identity = checkTlsIdentity(socket, server, place);
    onStep?.('identity');
    const sessionId = socket.getFinished();
    if (sessionId === undefined)
      throw new XftpError('TLS_FAILED', `The TLS connection to ${place} has no session identifier.`);
    const withHandshake = socket.alpnProtocol === ALPN_XFTP;
    channel = new Channel(socket, { authority: authorityOf(hop), place, stallMs: deadlines.stallMs });
    const handshake = withHandshake
      ? await within(deadlines.connectMs, { channel, place }, (opened) =>
          shakeHands(opened, { server, identity, sessionId, place }, abort),
        )
      : { version: VERSION_INITIAL };
    onStep?.('handshake');
    return new Session(channel, { server, place, sessionId, ...handshake });
  } catch (error) {
    if (channel === undefined) socket.destroy();
    else channel.destroy();
    throw error;
  }
}

/**
 * Ends the connection if `work` takes longer than `ms`: a relay could keep it alive for ever, byte by byte.
 *
 * @throws XftpError STALLED then
 */
async function within<T>(
  ms: number,
  { channel, place }: { readonly channel: Channel; readonly place: string },
  work: (channel: Channel) => Promise<T>,
): Promise<T> {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    channel.destroy();
  }, ms);
  try {
    return await work(channel);
  } catch (cause) {
    // Not known to the compiler: the timer may have come meanwhile.
    if (!(late as boolean)) throw cause;
    const seconds = String(Math.round(ms / 1000));
    throw new XftpError('STALLED', `${place} did not finish the handshake within ${seconds} seconds.`, {
      cause,
    });
  } finally {
    clearTimeout(timer);
  }
}

/** Host name without port, as the official client sends it. */
function authorityOf({ host }: Endpoint): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** Hello and handshake (protocol reference, section 3). */
async function shakeHands(
  channel: Channel,
  connection: Parameters<typeof checkHelloIdentity>[1] & { readonly server: ServerAddress },
  options: ExchangeOptions,
): Promise<Handshake> {
  const { server, place } = connection;
  const { block } = await channel.exchange({}, options);
  throwBareError(block, place);
  const hello = readHello(block, place);
  const version = negotiateVersion(SUPPORTED_VERSIONS, hello.versions);
  const relayKey = checkHelloIdentity(hello, connection);
  const answer = await channel.exchange(
    { block: encodeClientHandshake({ version, keyHash: server.fingerprint }) },
    options,
  );
  if (answer.block.length > 0) {
    throwBareError(answer.block, place);
    throw new XftpError('RELAY_PROTOCOL', `${place} answered the handshake with something unknown.`);
  }
  return { version, relayKey };
}

function readHello(block: Uint8Array, place: string): ReturnType<typeof decodeServerHello> {
  try {
    return decodeServerHello(block);
  } catch (cause) {
    throw new XftpError('RELAY_PROTOCOL', `${place} does not greet as an XFTP relay does.`, { cause });
  }
}

function throwBareError(block: Uint8Array, place: string): void {
  if (block.length !== BLOCK_SIZE) return;
  const error = readBareError(block, place);
  if (error === undefined) return;
  const wire = formatWireError(error);
  throw new XftpError('RELAY_TEMPORARY', `${place} refused the handshake with ${showWireError(error)}.`, {
    wire,
  });
}

function readBareError(block: Uint8Array, place: string): WireError | undefined {
  try {
    return decodeBareError(block);
  } catch (cause) {
    throw new XftpError('RELAY_PROTOCOL', `${place} sent a block that cannot be read.`, { cause });
  }
}
