import { XftpError } from '../protocol/index.js';

/** Most relays that a chunk may be on: beyond that, copies cost more than they are worth. */
export const MAX_REPLICAS = 8;

/** On how many relays each chunk of a send is to be, and must be for the send to be completed. */
export interface ReplicaCounts {
  readonly wanted: number;
  readonly required: number;
}

/**
 * Checks that counts make sense, whatever relays there are.
 *
 * @throws XftpError INVALID_ARGUMENT
 */
export function checkReplicaCounts({ wanted, required }: ReplicaCounts): void {
  for (const count of [wanted, required])
    if (!Number.isInteger(count) || count < 1 || count > MAX_REPLICAS)
      throw new XftpError(
        'INVALID_ARGUMENT',
        `A file has 1 to ${String(MAX_REPLICAS)} replicas, not ${String(count)}.`,
      );
  if (required > wanted)
    throw new XftpError(
      'INVALID_ARGUMENT',
      `A send cannot require ${String(required)} replicas when it makes ${String(wanted)}: require at most as many.`,
    );
}
