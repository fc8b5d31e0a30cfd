import { type FileDescription, XftpError } from '../protocol/index.js';
import { forEachReplica, type Outcome, type OwnedReplica, sizeOf } from './replica-commands.js';
import type { TransferContext } from './transfer-context.js';

/**
 * Deletes a sent file from its relays. Chunks that are gone already do not stop it. Progress counts chunks that are
 * deleted.
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
  const replicas = replicasOf(description);
  const outcome = await forEachReplica(replicas, context, ({ server, access }, options) =>
    context.client.deleteChunk(server, access, options),
  );
  throwIfCancelled(outcome);
  const { gone, failures } = outcome;
  if (failures[0] !== undefined) throw failures[0];
  if (gone.length === outcome.total && gone[0] !== undefined) throw gone[0];
  const total = sizeOf(replicas);
  // With those that were gone before, all is done now.
  if (gone.length > 0) context.onProgress?.({ done: total, total });
}

/**
 * Tells the relays that a recipient has the file, which ends this recipient's access. Best effort: a failure is a
 * warning, since the file is there.
 *
 * @throws XftpError CANCELLED
 */
export async function acknowledgeFile(description: FileDescription, context: TransferContext): Promise<void> {
  const outcome = await forEachReplica(replicasOf(description), context, ({ server, access }, options) =>
    context.client.acknowledgeChunk(server, access, options),
  );
  throwIfCancelled(outcome);
  const [failure] = outcome.failures;
  if (failure !== undefined)
    context.onWarning?.(`The file is complete, but a relay could not be told so. ${failure.message}`);
}

/** The replicas of a description, with the rights that it gives. */
export function replicasOf({ chunks }: FileDescription): OwnedReplica[] {
  return chunks.flatMap(({ size, replicas }) =>
    replicas.map(({ server, id, key }) => ({ server, access: { id, privateKey: key }, size })),
  );
}

function throwIfCancelled({ failures }: Outcome): void {
  const stop = failures.find(({ kind }) => kind === 'cancelled');
  if (stop !== undefined) throw stop;
}
