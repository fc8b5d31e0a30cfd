import { setMaxListeners } from 'node:events';

import { type FileDescription, humanCount } from '../protocol/index.js';
import { replicasOf } from './manage-file.js';
import { forEachReplica, type OwnedReplica } from './replica-commands.js';
import type { TransferContext } from './transfer-context.js';

/** Longest time to delete chunks that nobody will use, in ms: enough for a new session, and someone waits. */
const DISCARD_MS = 5000;

/**
 * Deletes a sent file of which nobody will ever get a description. Best effort, within a few seconds, and although the
 * context's signal has aborted: what stays on the relays is told as a warning, not thrown.
 */
export async function discardFile(sent: FileDescription, context: TransferContext): Promise<void> {
  await discardChunks(replicasOf(sent), context);
}

/** The same for chunks that were registered, uploaded or not: they take up the relay's room either way. */
export async function discardChunks(
  replicas: readonly OwnedReplica[],
  context: TransferContext,
): Promise<void> {
  if (replicas.length === 0) return;
  const chunks = humanCount(replicas.length, 'chunk');
  context.onDetail?.(`Deleting ${chunks} of the file from the relays.`);
  const left = await withinTime(context.signal, async (signal) => {
    const { attempts } = context;
    const { failures } = await forEachReplica(replicas, { attempts, signal }, ({ server, access }, options) =>
      context.client.deleteChunk(server, access, options),
    );
    return failures.length;
  });
  if (left > 0)
    context.onWarning?.(
      `${String(left)} of ${chunks} could not be deleted from the relays: they expire by themselves.`,
    );
}

/** Gives `work` a signal that aborts when the time is over, or with `stop` unless that has aborted before. */
async function withinTime<T>(
  stop: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const timeout = new AbortController();
  const timer = setTimeout(() => {
    timeout.abort();
  }, DISCARD_MS);
  const signal =
    stop === undefined || stop.aborted ? timeout.signal : AbortSignal.any([stop, timeout.signal]);
  setMaxListeners(0, signal);
  try {
    return await work(signal);
  } finally {
    clearTimeout(timer);
  }
}
