import type { RelayClient, ReplicaAccess } from '../client/index.js';
import { generateKeyPair, type KeyPair } from '../crypto/index.js';
import { type ServerAddress, XftpError } from '../protocol/index.js';
import type { UploadedChunk, UploadedReplica } from './describe-file.js';
import type { OwnedReplica } from './replica-commands.js';
import type { ReplicaCounts } from './replica-counts.js';
import { withRetries } from './retry.js';
import { isServersFault, type ServerChoice } from './server-choice.js';
import { TaskGroup } from './task-group.js';
import { UploadWidth } from './upload-width.js';
import { ProgressMeter, type TransferContext } from './transfer-context.js';

/** Recipients per request, as official clients send them. */
const RECIPIENTS_PER_REQUEST = 200;
/** How long a relay may still answer a registration after the transfer has failed, in ms: a slow round trip. */
const REGISTRATION_ANSWER_MS = 2000;

/** A chunk that is ready to be uploaded. */
export interface SealedChunk {
  /** From 1. */
  readonly number: number;
  readonly bytes: Uint8Array;
  /** SHA-256: 32 bytes. */
  readonly digest: Uint8Array;
}

/** What all chunks of a file have in common. */
export interface UploadPlan {
  readonly recipients: number;
  /** Checked; no more are required than there are relays. */
  readonly counts: ReplicaCounts;
  readonly choice: ServerChoice;
  /** Bytes of all chunks. */
  readonly size: number;
}

/** What uploads of chunks need. */
export interface UploadContext extends TransferContext {
  readonly signal: AbortSignal;
  /** Called for each replica that a relay has made room for, whatever becomes of it. */
  readonly onRegistered: (replica: OwnedReplica) => void;
}

/** One replica that is being made. */
interface ReplicaUpload {
  readonly signal: AbortSignal;
  /** Servers of the chunk's replicas. */
  readonly taken: Set<ServerAddress>;
  /** Uploads the bytes once. */
  readonly put: (server: ServerAddress, sender: ReplicaAccess) => Promise<void>;
}

/** Registers and uploads the chunks of a file. */
export class ChunkUploader {
  readonly #client: RelayClient;
  readonly #context: UploadContext;
  readonly #plan: UploadPlan;
  readonly #progress: ProgressMeter;
  readonly #width = new UploadWidth();

  constructor(plan: UploadPlan, context: UploadContext) {
    this.#client = context.client;
    this.#context = context;
    this.#plan = plan;
    this.#progress = new ProgressMeter(plan.size * plan.counts.wanted, context.onProgress);
  }

  /**
   * Brings a chunk onto its relays, all at once.
   *
   * @param onReleased called once, when neither this nor a connection needs the chunk's bytes any more
   * @throws XftpError when fewer than the required number of relays have taken it
   */
  async upload(chunk: SealedChunk, onReleased: () => void): Promise<UploadedChunk> {
    const { wanted, required } = this.#plan.counts;
    const group = new TaskGroup(this.#context.signal);
    const { signal } = group;
    const taken = new Set<ServerAddress>();
    let users = 1;
    const release = (): void => {
      users -= 1;
      if (users === 0) onReleased();
    };
    let missing = 0;
    const makeReplica = async (): Promise<readonly UploadedReplica[]> => {
      const progress = this.#progress.chunk();
      const put = (server: ServerAddress, sender: ReplicaAccess): Promise<void> => {
        users += 1;
        const body = { bytes: chunk.bytes, onBodyReleased: release };
        return this.#client.uploadChunk(server, sender, body, { signal, onSent: progress.set });
      };
      try {
        return [await this.#makeReplica(chunk, { signal, taken, put })];
      } catch (error) {
        if (!isServersFault(error)) throw error;
        missing += 1;
        if (wanted - missing < required) throw wanted === 1 ? error : tooFew(chunk, required, error);
        // Nothing more will come of it.
        progress.set(chunk.bytes.length);
        return [];
      }
    };
    try {
      const replicas = await group.run(async () => {
        const making = Array.from({ length: wanted }, () => group.add(makeReplica));
        return (await Promise.all(making)).flat();
      });
      return { number: chunk.number, size: chunk.bytes.length, digest: chunk.digest, replicas };
    } finally {
      release();
    }
  }

  #makeReplica(chunk: SealedChunk, { signal, taken, put }: ReplicaUpload): Promise<UploadedReplica> {
    return this.#plan.choice.withServer(async (server) => {
      const replica = await this.#register(server, chunk, signal);
      const upload = (): Promise<void> => this.#width.run(server, () => put(server, replica.sender));
      await withRetries(this.#context.attempts, upload, { signal });
      return replica;
    }, taken);
  }

  async #register(
    server: ServerAddress,
    { bytes, digest }: SealedChunk,
    signal: AbortSignal,
  ): Promise<UploadedReplica> {
    const { attempts, onRegistered } = this.#context;
    const senderKey = generateKeyPair('ed25519');
    const recipients: ReplicaAccess[] = [];
    const [first = [], ...others] = keyBatches(this.#plan.recipients);
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

function tooFew({ number }: SealedChunk, required: number, last: XftpError): XftpError {
  return new XftpError(
    last.code,
    `Part ${String(number)} of the file must be on ${String(required)} relays, and too few can take it. ${last.message}`,
    { cause: last },
  );
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
