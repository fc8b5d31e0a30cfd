import { generateKeyPair, type KeyPair, sharedSecret } from '../crypto/index.js';
import { encodeUtf8, type ServerAddress, XftpError } from '../protocol/index.js';
import {
  type ExchangeOptions,
  type Session,
  type SessionPool,
  type SessionUse,
  throwIfAborted,
} from '../transport/index.js';
import { type AuthorizedCommand, exchangeCommand } from './command-exchange.js';
import { withLateAbort } from './late-abort.js';

/** Length of the tag behind a downloaded chunk, in bytes. */
export const DOWNLOAD_TAG_LENGTH = 16;

const PING = { command: { type: 'PING' }, purpose: 'manage', entityId: new Uint8Array() } as const;

/** A chunk to be registered on a relay. */
export interface NewChunk {
  readonly senderKey: KeyPair;
  /** Bytes. */
  readonly size: number;
  /** SHA-256 of the chunk: 32 bytes. */
  readonly digest: Uint8Array;
  /** SPKI keys, 1 to 255. */
  readonly recipientKeys: readonly Uint8Array[];
}

/** IDs that a relay gave a new chunk. */
export interface ChunkIds {
  readonly senderId: Uint8Array;
  /** In the order of the keys. */
  readonly recipientIds: readonly Uint8Array[];
}

/** The right to one replica: an ID of a relay and the PKCS8 key that goes with it. */
export interface ReplicaAccess {
  readonly id: Uint8Array;
  readonly privateKey: Uint8Array;
}

/** What is needed to open the secret box of a downloaded chunk. */
export interface DownloadBox {
  /** X25519 shared secret: 32 bytes. */
  readonly secret: Uint8Array;
  /** 24 bytes. */
  readonly nonce: Uint8Array;
}

/** Stops a call. */
export interface CallOptions {
  readonly signal?: AbortSignal;
}

/** Stops the registration of a chunk. */
export interface RegisterOptions extends CallOptions {
  /**
   * How long the answer to a request that is under way is still awaited when `signal` aborts, in ms; 0 if absent. Only
   * the answer tells how to delete the chunk.
   */
  readonly answerMs?: number;
}

/**
 * The XFTP commands, one method each, over the sessions of a pool. Nothing is retried here. Every method throws
 * XftpError: of the transport, or of the relay's answer.
 */
export class RelayClient {
  readonly #pool: SessionPool;
  readonly #unit: string;

  /** @param unit isolation unit: sessions are shared with other clients of the same one only */
  constructor(pool: SessionPool, unit = '') {
    this.#pool = pool;
    this.#unit = unit;
  }

  /** A client of another isolation unit over the same pool. */
  isolated(unit: string): RelayClient {
    return new RelayClient(this.#pool, unit);
  }

  /** Opens a session, unless there is one, for what will be asked soon. */
  async connect(server: ServerAddress, options: CallOptions = {}): Promise<void> {
    await this.#use(server, 'shared', () => Promise.resolve(), options);
  }

  /** FNEW: registers a chunk. Not idempotent: each call makes another chunk. */
  createChunk(server: ServerAddress, chunk: NewChunk, options: RegisterOptions = {}): Promise<ChunkIds> {
    const { signal, answerMs = 0 } = options;
    return this.#use(
      server,
      'before-upload',
      async (session) => {
        // A request that has not begun need not be made.
        throwIfAborted(signal);
        return signal === undefined || answerMs === 0
          ? register(session, server, chunk, options)
          : withLateAbort(signal, answerMs, (late) => register(session, server, chunk, { signal: late }));
      },
      options,
    );
  }

  /** FADD: registers more recipients, 1 to 255 SPKI keys. Not idempotent. Returns their IDs in the order of the keys. */
  addRecipients(
    server: ServerAddress,
    sender: ReplicaAccess,
    recipientKeys: readonly Uint8Array[],
    options: CallOptions = {},
  ): Promise<readonly Uint8Array[]> {
    return this.#use(
      server,
      'shared',
      async (session) => {
        const request = {
          ...authorize(sender),
          command: { type: 'FADD', recipientKeys },
          purpose: 'manage',
        } as const;
        const { response } = await exchangeCommand(session, request, 'RIDS', options);
        checkCount(response.recipientIds, recipientKeys, session.place);
        return response.recipientIds;
      },
      options,
    );
  }

  /**
   * FPUT: uploads a chunk's bytes, which must not change until `onBodyReleased`. Safe to repeat.
   */
  async uploadChunk(
    server: ServerAddress,
    sender: ReplicaAccess,
    chunk: { readonly bytes: Uint8Array; readonly onBodyReleased: () => void },
    options: CallOptions & Pick<ExchangeOptions, 'onSent' | 'pace'> = {},
  ): Promise<void> {
    const request = { ...authorize(sender), command: { type: 'FPUT' }, purpose: 'upload' } as const;
    const { bytes: body, onBodyReleased } = chunk;
    // Until a session takes the chunk over, releasing it is up to this method.
    const handover = { done: false };
    try {
      await this.#use(
        server,
        'upload',
        (session) => {
          handover.done = true;
          return exchangeCommand(session, request, 'OK', { ...options, body, onBodyReleased });
        },
        options,
      );
    } finally {
      if (!handover.done) onBodyReleased();
    }
  }

  /**
   * FGET: downloads a chunk's box ciphertext and its tag into `into`, whose length must be the chunk's size and 16.
   * The box is not opened here.
   *
   * @throws XftpError CHUNK_SIZE when the relay sends fewer or more bytes
   */
  downloadChunk(
    server: ServerAddress,
    recipient: ReplicaAccess,
    into: Uint8Array,
    options: CallOptions & Pick<ExchangeOptions, 'onReceived' | 'pace'> = {},
  ): Promise<DownloadBox> {
    return this.#use(
      server,
      'shared',
      async (session) => {
        const key = generateKeyPair('x25519');
        const { response, received } = await exchangeCommand(
          session,
          { ...authorize(recipient), command: { type: 'FGET', key: key.publicKey }, purpose: 'download' },
          'FILE',
          { ...options, into },
        );
        if (received !== into.length)
          throw new XftpError(
            'CHUNK_SIZE',
            `The relay ${session.place} sent ${String(received)} of the ${String(into.length)} bytes of a chunk.`,
          );
        return { secret: agreeOnSecret(key, response.key, session.place), nonce: response.nonce };
      },
      options,
    );
  }

  /** FDEL: deletes a chunk for everyone. Repeating it fails with CHUNK_GONE. */
  deleteChunk(server: ServerAddress, sender: ReplicaAccess, options: CallOptions = {}): Promise<void> {
    return this.#simple(
      server,
      { ...authorize(sender), command: { type: 'FDEL' }, purpose: 'manage' },
      'OK',
      options,
    );
  }

  /** FACK: gives up this recipient's access to a chunk. Repeating it fails with CHUNK_GONE. */
  acknowledgeChunk(
    server: ServerAddress,
    recipient: ReplicaAccess,
    options: CallOptions = {},
  ): Promise<void> {
    const request = { ...authorize(recipient), command: { type: 'FACK' }, purpose: 'download' } as const;
    return this.#simple(server, request, 'OK', options);
  }

  /**
   * Succeeds when the relay answers: by the handshake of a session that has to be opened for it, or else by PING, since
   * a session from before may be broken without anybody knowing.
   */
  reach(server: ServerAddress, options: CallOptions = {}): Promise<void> {
    const since = performance.now();
    return this.#use(
      server,
      'shared',
      async (session) => {
        if (session.openedAt < since) await exchangeCommand(session, PING, 'PONG', options);
      },
      options,
    );
  }

  /** PING: succeeds when the relay answers. */
  ping(server: ServerAddress, options: CallOptions = {}): Promise<void> {
    return this.#simple(server, PING, 'PONG', options);
  }

  #use<T>(
    server: ServerAddress,
    use: SessionUse,
    work: (session: Session) => Promise<T>,
    { signal }: CallOptions,
  ): Promise<T> {
    const unit = this.#unit;
    return this.#pool.use(server, use, work, signal === undefined ? { unit } : { unit, signal });
  }

  async #simple(
    server: ServerAddress,
    request: AuthorizedCommand,
    expected: 'OK' | 'PONG',
    options: CallOptions,
  ): Promise<void> {
    await this.#use(
      server,
      'shared',
      (session) => exchangeCommand(session, request, expected, options),
      options,
    );
  }
}

/** PING over a session that is there: succeeds when the relay answers. */
export async function pingSession(session: Session): Promise<void> {
  await exchangeCommand(session, PING, 'PONG');
}

/** The password is this caller's: others may use the same session with another one, or without. */
async function register(
  session: Session,
  { password }: ServerAddress,
  chunk: NewChunk,
  options: CallOptions,
): Promise<ChunkIds> {
  const { senderKey, size, digest, recipientKeys } = chunk;
  const { response } = await exchangeCommand(
    session,
    {
      command: {
        type: 'FNEW',
        senderKey: senderKey.publicKey,
        size,
        digest,
        recipientKeys,
        ...(password === undefined ? {} : { password: encodeUtf8(password) }),
      },
      purpose: 'create',
      entityId: new Uint8Array(),
      privateKey: senderKey.privateKey,
    },
    'SIDS',
    options,
  );
  checkCount(response.recipientIds, recipientKeys, session.place);
  return response;
}

function agreeOnSecret(own: KeyPair, relayKey: Uint8Array, place: string): Uint8Array {
  try {
    return sharedSecret(own.privateKey, relayKey);
  } catch (cause) {
    throw new XftpError(
      'RELAY_PROTOCOL',
      `The relay ${place} does not keep to the protocol: it sent a download key that is none.`,
      { cause },
    );
  }
}

function authorize({ id, privateKey }: ReplicaAccess): { entityId: Uint8Array; privateKey: Uint8Array } {
  return { entityId: id, privateKey };
}

function checkCount(ids: readonly Uint8Array[], keys: readonly Uint8Array[], place: string): void {
  if (ids.length !== keys.length)
    throw new XftpError(
      'RELAY_PROTOCOL',
      `The relay ${place} does not keep to the protocol: ` +
        `it gave ${String(ids.length)} IDs for ${String(keys.length)} recipients.`,
    );
}
