import type { ServerHttp2Stream } from 'node:http2';

import { fingerprintOf, generateKeyPair, signSessionKey } from '#src/crypto/index.js';
import {
  BLOCK_SIZE,
  ByteWriter,
  type Command,
  decodeClientHandshake,
  decodeCommand,
  decodeTransmission,
  encodeBareError,
  encodeResponse,
  encodeTransmission,
  pad,
  parseHost,
  type ReceivedTransmission,
  type Response,
  type ServerAddress,
  type ServerHello,
  SUPPORTED_VERSIONS,
  bytesEqual,
} from '#src/protocol/index.js';
import {
  createCredentials,
  type LoopbackServer,
  readBody,
  type ServerConnection,
  startHttp2Server,
  type TlsCredentials,
} from './http2-server.js';

/** A command as the fake relay got it. */
export interface FakeRequest {
  readonly command: Command;
  readonly transmission: ReceivedTransmission;
  /** What followed the block. */
  readonly body: Uint8Array;
}

/** What the fake relay answers; nothing at all for `silence`. */
export type FakeReply =
  | 'silence'
  | {
      readonly response: Response;
      /** What follows the block. */
      readonly body?: Uint8Array;
      /** Instead of those of the request. */
      readonly sessionId?: Uint8Array;
      readonly entityId?: Uint8Array;
    }
  /** A body as it is, whatever it may be. */
  | { readonly raw: Uint8Array };

/** Switches to lie with. */
export interface FakeRelayOptions {
  readonly credentials?: ReturnType<typeof createCredentials>;
  /** What it shows in TLS, if not its own certificates. */
  readonly shown?: TlsCredentials;
  /** ALPN as in {@link LoopbackServerOptions}. */
  readonly alpn?: string | false;
  /** Its hello, made of the honest one: another one, any bytes, or nothing. */
  readonly hello?: (honest: ServerHello) => ServerHello | Uint8Array | 'silence';
  /** Its answer to a client's handshake. */
  readonly handshakeReply?: Uint8Array | 'silence';
  /** Told of each request before its answer, hellos and handshakes among them. */
  readonly onRequest?: () => void;
  /** PING is answered without it. */
  readonly onCommand?: (request: FakeRequest) => FakeReply;
}

/** A relay that behaves as a test wants. */
export interface FakeRelay extends LoopbackServer {
  readonly server: ServerAddress;
  /** Commands in the order of their arrival. */
  readonly requests: readonly FakeRequest[];
}

/** Starts a fake relay, which ends with the running test. */
export async function startFakeRelay(options: FakeRelayOptions = {}): Promise<FakeRelay> {
  const credentials = options.credentials ?? createCredentials();
  const fingerprint = fingerprintOf(credentials.identity.certificate);
  const requests: FakeRequest[] = [];
  const states = new WeakMap<ServerConnection, { handshakes: number; sessionKey: Uint8Array }>();
  const loopback = await startHttp2Server({
    credentials: options.shown ?? credentials,
    ...(options.alpn === undefined ? {} : { alpn: options.alpn }),
    onStream: (stream, connection) => {
      const state = states.get(connection) ?? {
        handshakes: options.alpn === false ? 2 : 0,
        sessionKey: generateKeyPair('x25519').publicKey,
      };
      states.set(connection, state);
      void answer(stream, connection, state).catch(() => undefined);
    },
  });

  async function answer(
    stream: ServerHttp2Stream,
    connection: ServerConnection,
    state: { handshakes: number; readonly sessionKey: Uint8Array },
  ): Promise<void> {
    const request = new Uint8Array(await readBody(stream));
    state.handshakes += 1;
    options.onRequest?.();
    if (state.handshakes === 1) reply(stream, hello(connection, state.sessionKey));
    else if (state.handshakes === 2) reply(stream, options.handshakeReply ?? acceptHandshake(request));
    else reply(stream, obey(request));
  }

  function hello(connection: ServerConnection, sessionKey: Uint8Array): Uint8Array | 'silence' {
    const honest = {
      versions: SUPPORTED_VERSIONS,
      sessionId: new Uint8Array(connection.socket.getPeerFinished() ?? []),
      certificates: credentials.certificates,
      signedKey: signSessionKey(credentials.privateKey, sessionKey),
      webProof: new Uint8Array(),
    };
    const lie = options.hello?.(honest) ?? honest;
    return lie === 'silence' || lie instanceof Uint8Array ? lie : encodeHello(lie);
  }

  function acceptHandshake(block: Uint8Array): Uint8Array {
    const { version, keyHash } = decodeClientHandshake(block);
    const accepted = version <= SUPPORTED_VERSIONS.max && bytesEqual(keyHash, fingerprint);
    return accepted ? new Uint8Array() : encodeBareError({ type: 'HANDSHAKE' });
  }

  function obey(bytes: Uint8Array): Uint8Array | 'silence' {
    const transmission = decodeTransmission(bytes.subarray(0, BLOCK_SIZE));
    const command = decodeCommand(transmission.command);
    if (command.type === 'INVALID') throw new Error('The client sent a command that cannot be read.');
    const request = { command, transmission, body: bytes.subarray(BLOCK_SIZE) };
    requests.push(request);
    const made = options.onCommand?.(request) ?? ({ response: { type: 'PONG' } } as const);
    if (made === 'silence') return made;
    if ('raw' in made) return made.raw;
    const { response, body = new Uint8Array(), sessionId = transmission.sessionId } = made;
    const named = response.type !== 'PONG' && response.type !== 'SIDS';
    const block = encodeTransmission({
      sessionId,
      correlationId: transmission.correlationId,
      entityId: made.entityId ?? (named ? transmission.entityId : new Uint8Array()),
      command: encodeResponse(response),
    });
    return new ByteWriter().raw(block).raw(body).finish();
  }

  const { host, port } = loopback;
  return { ...loopback, server: { fingerprint, hosts: [parseHost(host)], port }, requests };
}

/** Nobody but the fake relay and `encodeServerHello` makes a hello; two hands keep one slip from hiding. */
export function encodeHello(hello: ServerHello): Uint8Array {
  const writer = new ByteWriter().u16(hello.versions.min).u16(hello.versions.max).short(hello.sessionId);
  writer.u8(hello.certificates.length);
  for (const certificate of hello.certificates) writer.large(certificate);
  return pad(writer.large(hello.signedKey).short(hello.webProof).finish());
}

function reply(stream: ServerHttp2Stream, body: Uint8Array | 'silence'): void {
  if (body === 'silence' || stream.destroyed) return;
  stream.respond({ ':status': 200 });
  stream.end(body);
}
