import type { RelayClient } from '../client/index.js';
import { randomBytes } from '../crypto/index.js';
import {
  encodeBase64Url,
  FILE_KEY_LENGTH,
  FILE_NONCE_LENGTH,
  type ServerAddress,
} from '../protocol/index.js';
import { BufferPool, chunksInMemory } from './buffer-pool.js';
import { ChunkUploader } from './chunk-upload.js';
import { describeFile, type SentFile, type UploadedChunk } from './describe-file.js';
import { discardChunks } from './discard-chunks.js';
import { replicasOf } from './manage-file.js';
import type { OwnedReplica } from './replica-commands.js';
import { checkReplicaCounts, type ReplicaCounts } from './replica-counts.js';
import { ServerChoice } from './server-choice.js';
import { TaskGroup } from './task-group.js';
import type { TransferContext } from './transfer-context.js';

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
  /** On how many relays each chunk is to be and must be; one unless given. */
  readonly replicas?: ReplicaCounts;
}

/** What a file has on each relay unless its sender wants more. */
const ONE_REPLICA: ReplicaCounts = { wanted: 1, required: 1 };

/**
 * Encrypts a file and uploads its chunks, reading the source once and writing nothing to disk. After a failure, or when
 * it is stopped, the chunks that relays have taken by then are deleted as far as that is possible within a few seconds;
 * after a success those that are no part of the file, as their relays have failed later.
 * Where chunks are on fewer relays than wanted, and on as many as required, there is a warning.
 *
 * @throws XftpError of the source, or of the last relay tried
 */
export async function sendFile(request: SendRequest, context: TransferContext): Promise<SentFile> {
  const registered: OwnedReplica[] = [];
  const onRegistered = (replica: OwnedReplica): void => void registered.push(replica);
  const sent = await sealAndUpload(request, context, onRegistered).catch(async (error: unknown) => {
    await discardChunks(registered, context);
    throw error;
  });
  await discardLeftOver(registered, sent, context);
  return sent;
}

/** What relays had made room for before they failed is in no description: nobody could delete it later. */
async function discardLeftOver(
  registered: readonly OwnedReplica[],
  { sender }: SentFile,
  context: TransferContext,
): Promise<void> {
  const kept = new Set(replicasOf(sender).map(({ access }) => encodeBase64Url(access.id)));
  const leftOver = registered.filter(({ access }) => !kept.has(encodeBase64Url(access.id)));
  // The file is sent, and that those relays have failed was told: that chunks stay there is a detail.
  const { onDetail = (): void => undefined } = context;
  await discardChunks(leftOver, { ...context, onWarning: onDetail });
}

/** @param onRegistered called for each replica that a relay has made room for, whatever becomes of it */
async function sealAndUpload(
  request: SendRequest,
  context: TransferContext,
  onRegistered: (replica: OwnedReplica) => void,
): Promise<SentFile> {
  const key = randomBytes(FILE_KEY_LENGTH);
  const nonce = randomBytes(FILE_NONCE_LENGTH);
  const counts = request.replicas ?? ONE_REPLICA;
  checkReplicaCounts(counts);
  const choice = new ServerChoice(request.servers, context.onWarning, counts.required);
  const group = new TaskGroup(context.signal);
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
      const uploader = new ChunkUploader(
        { recipients: request.recipients, counts, choice, size },
        { ...context, signal: group.signal, onRegistered },
      );
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
      const chunks = await Promise.all(uploads);
      warnAboutFewer(chunks, counts, context);
      return describeFile({ key, nonce, size, digest, chunks });
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

function warnAboutFewer(
  chunks: readonly UploadedChunk[],
  { wanted }: ReplicaCounts,
  { onWarning }: TransferContext,
): void {
  const fewest = Math.min(...chunks.map(({ replicas }) => replicas.length));
  if (fewest < wanted)
    onWarning?.(`Some parts of the file are on ${String(fewest)} instead of ${String(wanted)} relays.`);
}
