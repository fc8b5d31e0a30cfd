import { connect as connectHttp2, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { connect as connectTls, type TLSSocket } from 'node:tls';

import {
  type Command,
  decodeResponse,
  decodeServerHello,
  decodeTransmission,
  encodeClientHandshake,
  encodeCommand,
  encodeTransmission,
  formatWireError,
  type Response,
  type ServerHello,
} from '#src/protocol/index.js';
import {
  createAuthenticator,
  generateKeyPair,
  type KeyPair,
  SecretBoxStream,
  sha256,
  sharedSecret,
  sign,
  verifySessionKey,
  readCertificate,
} from '#src/crypto/index.js';

const EMPTY = new Uint8Array();

export interface RawOptions {
  readonly port: number;
  /** Protocols to offer in ALPN; [] offers none. */
  readonly alpn?: readonly string[];
  readonly servername?: string;
  /** Whether to offer the ciphers, groups and signatures that Node has, as browsers do, instead of the official ones. */
  readonly anyTls?: boolean;
  /** An address of this machine other than 127.0.0.1. */
  readonly host?: string;
  readonly maxVersion?: 'TLSv1.2' | 'TLSv1.3';
  /** Flow control window of each stream, in bytes. */
  readonly window?: number;
}

const OFFICIAL_TLS = {
  ciphers: 'TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-CHACHA20-POLY1305',
  sigalgs: 'ed448:ed25519',
  ecdhCurve: 'X448:X25519',
};

/** TLS as official clients speak it unless told otherwise, nothing verified. */
export function openTls(options: RawOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      port: options.port,
      host: options.host ?? '127.0.0.1',
      rejectUnauthorized: false,
      servername: options.servername ?? '',
      ...(options.anyTls === true ? {} : OFFICIAL_TLS),
      maxVersion: options.maxVersion ?? 'TLSv1.3',
      ...(options.alpn?.length === 0 ? {} : { ALPNProtocols: [...(options.alpn ?? ['xftp/1'])] }),
    });
    socket.once('secureConnect', () => {
      resolve(socket);
    });
    socket.once('error', reject);
  });
}

/** One request's outcome: all bytes of the response. */
export interface RawReply {
  readonly status: number;
  readonly body: Buffer;
}

/** A connection to a relay that does exactly what the test says, right or wrong. */
export class RawClient {
  readonly socket: TLSSocket;
  readonly http2: ClientHttp2Session;
  readonly sessionId: Uint8Array;
  hello: ServerHello | undefined;
  /** The relay's X25519 session key (SPKI). */
  sessionKey: Uint8Array | undefined;

  private constructor(socket: TLSSocket, window = 8 * 1024 * 1024) {
    this.socket = socket;
    this.sessionId = Uint8Array.from(socket.getFinished() ?? EMPTY);
    this.http2 = connectHttp2('https://localhost', {
      createConnection: () => socket,
      settings: { initialWindowSize: window, enablePush: false },
      maxSessionMemory: 256,
    });
    this.http2.on('error', () => undefined);
    this.http2.once('connect', () => {
      if (!this.http2.destroyed) this.http2.setLocalWindowSize(64 * 1024 * 1024);
    });
    socket.on('error', () => undefined);
  }

  static async connect(options: RawOptions): Promise<RawClient> {
    return new RawClient(await openTls(options), options.window);
  }

  /** Connected, with the handshake done. */
  static async open(
    options: RawOptions & { readonly fingerprint: Uint8Array; readonly version?: number },
  ): Promise<RawClient> {
    const client = await RawClient.connect(options);
    await client.handshake(options.fingerprint, options.version);
    return client;
  }

  async handshake(fingerprint: Uint8Array, version = 3): Promise<void> {
    const hello = decodeServerHello((await this.request()).body);
    this.hello = hello;
    const [leaf] = hello.certificates;
    if (leaf === undefined) throw new Error('no certificate in the hello');
    this.sessionKey = verifySessionKey(readCertificate(leaf).publicKey, hello.signedKey);
    const reply = await this.request(encodeClientHandshake({ version, keyHash: fingerprint }));
    if (reply.body.length > 0) throw new Error(`handshake refused: ${reply.body.subarray(2, 20).toString()}`);
  }

  /** Opens a request; what is sent is up to the caller. */
  start(headers: Record<string, string> = {}, endStream = false): ClientHttp2Stream {
    const stream = this.http2.request(
      { ':method': 'POST', ':path': '/', ':scheme': 'https', ':authority': 'localhost', ...headers },
      { endStream },
    );
    stream.on('error', () => undefined);
    return stream;
  }

  /** The whole response of a request. */
  static reply(stream: ClientHttp2Stream): Promise<RawReply> {
    return new Promise((resolve, reject) => {
      const pieces: Buffer[] = [];
      let status = 0;
      stream.on('response', (headers) => (status = Number(headers[':status'])));
      stream.on('data', (piece: Buffer) => pieces.push(piece));
      stream.once('end', () => {
        if (status === 0) reject(new Error('no response'));
        else resolve({ status, body: Buffer.concat(pieces) });
      });
      stream.once('error', reject);
      stream.once('close', () => {
        reject(new Error('closed'));
      });
    });
  }

  /** Sends a body (none: END_STREAM with the headers) and reads the whole response. */
  request(...body: readonly Uint8Array[]): Promise<RawReply> {
    const stream = this.start({}, body.length === 0);
    const reply = RawClient.reply(stream);
    if (body.length > 0) {
      for (const part of body.slice(0, -1)) stream.write(part);
      stream.end(body[body.length - 1]);
    }
    return reply;
  }

  /** The block of a command. */
  block(command: Command | Uint8Array, options: CommandOptions = {}): Uint8Array {
    const {
      key,
      entityId = EMPTY,
      correlationId = EMPTY,
      sessionId = this.sessionId,
      authorization,
    } = options;
    const bytes = command instanceof Uint8Array ? command : encodeCommand(command);
    return encodeTransmission({ sessionId, correlationId, entityId, command: bytes }, (authorized) => {
      if (authorization !== undefined) return authorization;
      if (key === undefined) return EMPTY;
      // X25519 keys are the 48-byte ones with OID 1.3.101.110.
      if (key[11] === 0x6e) {
        const secret = sharedSecret(key, this.sessionKey ?? EMPTY);
        return createAuthenticator(secret, correlationId, authorized);
      }
      return sign(key, authorized);
    });
  }

  /** Sends a command, and a chunk behind it. */
  async command(
    command: Command | Uint8Array,
    options: CommandOptions = {},
    ...chunk: readonly Uint8Array[]
  ): Promise<CommandReply> {
    const { body } = await this.request(this.block(command, options), ...chunk);
    return readReply(body);
  }

  /** Registers a chunk of these bytes. */
  async create(
    bytes: Uint8Array,
    options: { recipients?: number; senderKey?: KeyPair; recipientKey?: KeyPair; password?: string } = {},
  ): Promise<RawChunk> {
    const sender = options.senderKey ?? generateKeyPair('ed25519');
    const recipient = options.recipientKey ?? generateKeyPair('ed25519');
    const count = options.recipients ?? 1;
    const keys = Array.from({ length: count }, () => recipient.publicKey);
    const { response } = await this.command(
      {
        type: 'FNEW',
        senderKey: sender.publicKey,
        size: bytes.length,
        digest: sha256(bytes),
        recipientKeys: keys,
        ...(options.password === undefined ? {} : { password: Buffer.from(options.password) }),
      },
      { key: sender.privateKey, correlationId: freshCorrelationId() },
    );
    if (response.type !== 'SIDS') throw new Error(errorText(response));
    const [recipientId] = response.recipientIds;
    if (recipientId === undefined) throw new Error('no recipient ID');
    return {
      bytes,
      senderId: response.senderId,
      senderKey: sender.privateKey,
      recipientIds: response.recipientIds,
      recipientId,
      recipientKey: recipient.privateKey,
    };
  }

  /** Uploads a chunk; gives `OK` or the error's text. */
  async put(chunk: RawChunk, bytes: Uint8Array = chunk.bytes): Promise<string> {
    const { response } = await this.command({ type: 'FPUT' }, asSender(chunk), bytes);
    return errorText(response);
  }

  /** Downloads a chunk: its bytes, or the error's text. */
  async get(chunk: Pick<RawChunk, 'recipientId' | 'recipientKey'>): Promise<Buffer | string> {
    const pair = generateKeyPair('x25519');
    const { response, rest } = await this.command({ type: 'FGET', key: pair.publicKey }, asRecipient(chunk));
    if (response.type !== 'FILE') return errorText(response);
    const box = new SecretBoxStream(sharedSecret(pair.privateKey, response.key), response.nonce);
    const bytes = rest.subarray(0, -16);
    const tag = box.tag();
    tag.update(bytes);
    if (!rest.subarray(-16).equals(tag.finish())) return 'wrong tag';
    box.xor(bytes, 0);
    return bytes;
  }

  async close(): Promise<void> {
    if (this.http2.destroyed) return;
    await new Promise<void>((resolve) => {
      this.http2.once('close', () => {
        resolve();
      });
      this.http2.destroy();
      // HTTP/2 waits for a write under way, which may never end.
      this.socket.destroy();
    });
  }
}

export interface CommandOptions {
  /** Private key that authorizes. */
  readonly key?: Uint8Array;
  readonly entityId?: Uint8Array;
  readonly correlationId?: Uint8Array;
  readonly sessionId?: Uint8Array;
  /** Raw bytes instead of an authorization by `key`. */
  readonly authorization?: Uint8Array;
}

export interface CommandReply {
  readonly response: Response;
  readonly correlationId: Uint8Array;
  readonly entityId: Uint8Array;
  /** What follows the block. */
  readonly rest: Buffer;
}

/** A chunk on a relay, with its keys. */
export interface RawChunk {
  readonly bytes: Uint8Array;
  readonly senderId: Uint8Array;
  readonly senderKey: Uint8Array;
  readonly recipientIds: readonly Uint8Array[];
  readonly recipientId: Uint8Array;
  readonly recipientKey: Uint8Array;
}

export function readReply(body: Buffer): CommandReply {
  const { command, correlationId, entityId } = decodeTransmission(body.subarray(0, 16384));
  return { response: decodeResponse(command), correlationId, entityId, rest: body.subarray(16384) };
}

/** An error's text, or the name of another response. */
export function errorText(response: Response): string {
  return response.type === 'ERR' ? formatWireError(response.error) : response.type;
}

export function asSender(chunk: Pick<RawChunk, 'senderId' | 'senderKey'>): CommandOptions {
  return { entityId: chunk.senderId, key: chunk.senderKey, correlationId: freshCorrelationId() };
}

export function asRecipient(chunk: Pick<RawChunk, 'recipientId' | 'recipientKey'>): CommandOptions {
  return { entityId: chunk.recipientId, key: chunk.recipientKey, correlationId: freshCorrelationId() };
}

function freshCorrelationId(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(24));
}
