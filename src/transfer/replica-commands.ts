import PQueue from 'p-queue';

import type { CallOptions, ReplicaAccess } from '../client/index.js';
import { formatServerAddress, isXftpError, type ServerAddress, type XftpError } from '../protocol/index.js';
import { withRetries } from './retry.js';
import { ProgressMeter, type TransferContext } from './transfer-context.js';

/** Small commands under way at once with one relay: they cost a round trip each and little else. */
const COMMANDS_AT_ONCE = 32;

/** A replica and the right to it. */
export interface OwnedReplica {
  readonly server: ServerAddress;
  readonly access: ReplicaAccess;
  /** Bytes. */
  readonly size: number;
}

/** What became of a command about each of many replicas. */
export interface Outcome {
  readonly total: number;
  /** Failures that say that the chunk is no longer there. */
  readonly gone: readonly XftpError[];
  /** All other failures, CANCELLED included. */
  readonly failures: readonly XftpError[];
}

/**
 * Runs a command about each of the replicas to its end, whatever happens to the others. A relay that does not answer
 * holds up none of those on other relays. Progress counts replicas for which the command has succeeded.
 */
export async function forEachReplica(
  replicas: readonly OwnedReplica[],
  context: Pick<TransferContext, 'attempts' | 'signal' | 'onProgress'>,
  command: (replica: OwnedReplica, options: CallOptions) => Promise<void>,
): Promise<Outcome> {
  const options = context.signal === undefined ? {} : { signal: context.signal };
  const gone: XftpError[] = [];
  const failures: XftpError[] = [];
  const progress = new ProgressMeter(sizeOf(replicas), context.onProgress);
  const queues = new Map<string, PQueue>();
  const queueOf = ({ server }: OwnedReplica): PQueue => {
    const key = formatServerAddress(server);
    const queue = queues.get(key) ?? new PQueue({ concurrency: COMMANDS_AT_ONCE });
    queues.set(key, queue);
    return queue;
  };
  const run = async (replica: OwnedReplica): Promise<void> => {
    let tries = 0;
    const step = (): Promise<void> => {
      tries += 1;
      return command(replica, options);
    };
    try {
      await withRetries(context.attempts, step, options);
      progress.chunk().set(replica.size);
    } catch (error) {
      if (!isXftpError(error)) throw error;
      if (error.kind !== 'gone') failures.push(error);
      else if (tries === 1) gone.push(error);
      // Gone at the second try: the first one did it, only its answer was lost.
      else progress.chunk().set(replica.size);
    }
  };
  await Promise.all(replicas.map((replica) => queueOf(replica).add(() => run(replica))));
  return { total: replicas.length, gone, failures };
}

/** Bytes of all replicas. */
export function sizeOf(replicas: readonly OwnedReplica[]): number {
  return replicas.reduce((sum, { size }) => sum + size, 0);
}
