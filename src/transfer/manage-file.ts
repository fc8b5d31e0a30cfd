import PQueue from 'p-queue';

import type { ReplicaAccess } from '../client/index.js';
import { type FileDescription, isXftpError, type ServerAddress, XftpError } from '../protocol/index.js';
import { withRetries } from './retry.js';
import { ProgressMeter, type TransferContext } from './transfer-context.js';

/** Small commands under way at once: they cost a round trip each and little else. */
const COMMANDS_AT_ONCE = 16;

/**
 * Deletes a sent file from its relays. Chunks that are gone already do not stop it.
 *
 * @throws XftpError CHUNK_GONE when no chunk was left, INVALID_DESCRIPTION for a recipient's description, or the first
 *   other failure, after all chunks have been tried
 */
export async function deleteFile(description: FileDescription, context: TransferContext): Promise<void> {
  if (description.party !== 'sender')
    throw new XftpError(
      'INVALID_DESCRIPTION',
      "This is a recipient's file description: only the sender's description (snd.xftp.private) can delete the file.",
    );
  const { gone, failures, total } = await forEachReplica(description, context, (server, replica, options) =>
    context.client.deleteChunk(server, replica, options),
  );
  if (failures[0] !== undefined) throw failures[0];
  if (gone.length === total && gone[0] !== undefined) throw gone[0];
}

/**
 * Tells the relays that a recipient has the file, which ends this recipient's access. Best effort: a failure is a
 * warning, since the file is there.
 */
export async function acknowledgeFile(description: FileDescription, context: TransferContext): Promise<void> {
  const { failures } = await forEachReplica(description, context, (server, replica, options) =>
    context.client.acknowledgeChunk(server, replica, options),
  );
  if (failures[0] !== undefined)
    context.onWarning?.(`The file is complete, but a relay could not be told so. ${failures[0].message}`);
}

interface Outcome {
  readonly total: number;
  /** Failures that say that the chunk is no longer there. */
  readonly gone: XftpError[];
  readonly failures: XftpError[];
}

async function forEachReplica(
  { chunks, size }: FileDescription,
  context: TransferContext,
  command: (
    server: ServerAddress,
    replica: ReplicaAccess,
    options: { signal?: AbortSignal },
  ) => Promise<void>,
): Promise<Outcome> {
  const options = context.signal === undefined ? {} : { signal: context.signal };
  const replicas = chunks.flatMap((chunk) =>
    chunk.replicas.map((replica) => ({ ...replica, size: chunk.size })),
  );
  const outcome: Outcome = { total: replicas.length, gone: [], failures: [] };
  const progress = new ProgressMeter(size, context.onProgress);
  const queue = new PQueue({ concurrency: COMMANDS_AT_ONCE });
  await queue.addAll(
    replicas.map((replica) => async () => {
      const access = { id: replica.id, privateKey: replica.key };
      let tries = 0;
      const step = (): Promise<void> => {
        tries += 1;
        return command(replica.server, access, options);
      };
      try {
        await withRetries(context.attempts, step, options);
      } catch (error) {
        if (!isXftpError(error) || error.kind === 'cancelled') throw error;
        // Gone at the second try: the first one did it, only its answer was lost.
        if (error.kind !== 'gone') outcome.failures.push(error);
        else if (tries === 1) outcome.gone.push(error);
      }
      progress.chunk().set(replica.size);
    }),
  );
  return outcome;
}
