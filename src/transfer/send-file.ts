import type { RelayClient, ReplicaAccess } from '../client/index.js';
import { generateKeyPair, type KeyPair, randomBytes } from '../crypto/index.js';
import { FILE_KEY_LENGTH, FILE_NONCE_LENGTH, type ServerAddress } from '../protocol/index.js';
import { BufferPool, chunksInMemory } from './buffer-pool.js';
import { describeFile, type SentFile, type UploadedChunk } from './describe-file.js';
import { discardChunks } from './discard-chunks.js';
import type { OwnedReplica } from './replica-commands.js';
import { withRetries } from './retry.js';
import { ServerChoice } from './server-choice.js';
import { TaskGroup } from './task-group.js';
import { ProgressMeter, type TransferContext } from './transfer-context.js';

/** Recipients per request, as official clients send them. */
const RECIPIENTS_PER_REQUEST = 200;
/** How long a relay may still answer a registration after the transfer has failed, in ms: a slow round trip. */
const REGISTRATION_ANSWER_MS = 2000;

/** A file to send. */
export interface SendRequest {
  /** Path of the source. It must not change until the end. */
  readonly source: string;
  /** File name for the recipients, at most 255 bytes of UTF-8. */
  readonly name: string;
  /** Relays to choose from, at least one. */
  readonly servers: readonly ServerAddress[];
  /** Number of recipients, at least 1. */
  readonly recipients: number;
  /** Largest source that is taken, in bytes. */
  readonly maxSize: number;
}

/**
 * Encrypts a file and uploads its chunks, reading the source once and writing nothing to disk. After a failure, or when
 * it is stopped, the chunks that relays have taken by then are deleted as far as that is possible within a few seconds.
 *
 * @throws XftpError of the source, or of the last relay tried
 */
export async function sendFile(request: SendRequest, context: TransferContext): Promise<SentFile> {
  const registered: OwnedReplica[] = [];
  try {
    return await sealAndUpload(request, context, (replica) => {
      registered.push(replica);
    });
  } catch (error) {
    await discardChunks(registered, context);
    throw error;
  }
}

/** @param onRegistered called for each replica that a relay has made room for, whatever becomes of it */
async function sealAndUpload(
  request: SendRequest,
  context: TransferContext,
  onRegistered: (replica: OwnedReplica) => void,
): Promise<SentFile> {
  const key = randomBytes(FILE_KEY_LENGTH);
  const nonce = randomBytes(FILE_NONCE_LENGTH);
  const group = new TaskGroup(context.signal);
  const choice = new ServerChoice(request.servers, context.onWarning);
  const cipher = context.ciphers.stream();
  let buffers: BufferPool | undefined;
  try {
    return await group.run(async () => {
      const { source: path, name, maxSize } = request;
      greet(choice, context.client, group.signal);
      const { chunkSizes } = await cipher.call('sealStart', { path, name, key, nonce, maxSize });
      const size = chunkSizes.reduce((sum, chunkSize) => sum + chunkSize, 0);
      const largest = chunkSizes.reduce((most, chunkSize) => Math.max(most, chunkSize), 0);
      const pool = new BufferPool(context.ciphers.memory, chunksInMemory(largest), largest);
      buffers = pool;
      const uploadContext = { ...context, signal: group.signal, onRegistered };
      const uploader = new ChunkUploader(choice, request.recipients, uploadContext, size);
      const uploads: Promise<UploadedChunk>[] = [];
      for (const index of chunkSizes.keys()) {
        const buffer = await pool.take(group.signal);
        const { size: length, digest } = await cipher.call('sealNext', { buffer });
        const chunk = { number: index + 1, bytes: buffer.subarray(0, length), digest };
        uploads.push(
          group.add(() =>
            uploader.upload(chunk, () => {
              pool.give(buffer);
            }),
          ),
        );
      }
      const { digest } = await cipher.call('sealFinish', {});
      return describeFile({ key, nonce, size, digest, chunks: await Promise.all(uploads) });
    });
  } finally {
    await cipher.close();
    buffers?.close();
  }
}

/** Connects to the relay of the first chunk while that is encrypted. Whether it can be reached its registration tells. */
function greet({ first }: ServerChoice, client: RelayClient, signal: AbortSignal): void {
  if (first !== undefined) client.connect(first, { signal }).catch(() => undefined);
}

interface SealedChunk {
  /** From 1. */
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly digest: Uint8Array;
}

interface UploadContext extends TransferContext {
  readonly signal: AbortSignal;
  readonly onRegistered: (replica: OwnedReplica) => void;
}

/** Registers and uploads chunks. */
class ChunkUploader {
  readonly #client: RelayClient;
  readonly #context: UploadContext;
  readonly #choice: ServerChoice;
  readonly #progress: ProgressMeter;
  readonly #recipients: number;

  constructor(choice: ServerChoice, recipients: number, context: UploadContext, size: number) {
    this.#client = context.client;
    this.#context = context;
    this.#choice = choice;
    this.#progress = new ProgressMeter(size, context.onProgress);
    this.#recipients = recipients;
  }

  /** Calls `onReleased` once, when neither this nor a connection needs the chunk's bytes any more. */
  async upload(chunk: SealedChunk, onReleased: () => void): Promise<UploadedChunk> {
    let users = 1;
    const release = (): void => {
      users -= 1;
      if (users === 0) onReleased();
    };
    const progress = this.#progress.chunk();
    const { signal } = this.#context;
    try {
      return await this.#choice.withServer(async (server) => {
        const registered = await this.#register(server, chunk);
        const put = (): Promise<void> => {
          users += 1;
          const body = { bytes: chunk.bytes, onBodyReleased: release };
          return this.#client.uploadChunk(server, registered.sender, body, { signal, onSent: progress.set });
        };
        await withRetries(this.#context.attempts, put, { signal });
        return { ...registered, number: chunk.number, size: chunk.bytes.length, digest: chunk.digest };
      });
    } finally {
      release();
    }
  }

  async #register(
    server: ServerAddress,
    { bytes, digest }: SealedChunk,
  ): Promise<Pick<UploadedChunk, 'server' | 'sender' | 'recipients'>> {
    const { attempts, signal, onRegistered } = this.#context;
    const senderKey = generateKeyPair('ed25519');
    const recipients: ReplicaAccess[] = [];
    const [first = [], ...others] = keyBatches(this.#recipients);
    const ids = await withRetries(
      attempts,
      () => {
        const recipientKeys = first.map(({ publicKey }) => publicKey);
        return this.#client.createChunk(
          server,
          { senderKey, size: bytes.length, digest, recipientKeys },
          { signal, answerMs: REGISTRATION_ANSWER_MS },
        );
      },
      { signal },
    );
    const sender = { id: ids.senderId, privateKey: senderKey.privateKey };
    onRegistered({ server, access: sender, size: bytes.length });
    recipients.push(...pairUp(ids.recipientIds, first));
    for (const keys of others) {
      const recipientKeys = keys.map(({ publicKey }) => publicKey);
      const add = (): Promise<readonly Uint8Array[]> =>
        this.#client.addRecipients(server, sender, recipientKeys, { signal });
      recipients.push(...pairUp(await withRetries(attempts, add, { signal }), keys));
    }
    return { server, sender, recipients };
  }
}

function keyBatches(count: number): KeyPair[][] {
  const batches: KeyPair[][] = [];
  for (let left = count; left > 0; left -= RECIPIENTS_PER_REQUEST)
    batches.push(
      Array.from({ length: Math.min(left, RECIPIENTS_PER_REQUEST) }, () => generateKeyPair('ed25519')),
    );
  return batches;
}

function pairUp(ids: readonly Uint8Array[], keys: readonly KeyPair[]): ReplicaAccess[] {
  return keys.map(({ privateKey }, index) => ({ id: ids[index] ?? new Uint8Array(), privateKey }));
}
