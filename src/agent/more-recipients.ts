import { parseServerAddress } from '../protocol/index.js';
import type { ReplicaRow } from './chunk-store.js';
import { PATIENCE } from './chunk-upload.js';
import { newKeys, registerRecipients } from './recipient-registration.js';
import type { RunServices } from './run.js';

/** Whom relays are told of, and until when. */
export interface MoreRecipients {
  readonly services: RunServices;
  readonly id: string;
  /** How many there are to be in all. */
  readonly recipients: number;
  readonly signal: AbortSignal;
  /** Throws when the send was removed or revoked meanwhile. */
  readonly check: () => void;
}

/**
 * Makes a send's chunks known to more recipients, on all relays. A relay that fails is left out when another one has
 * the chunk. May be repeated after a failure.
 *
 * @throws XftpError of a relay when nobody else has one of its chunks; CANCELLED
 */
export async function registerMore(more: MoreRecipients): Promise<void> {
  const { services, id, check } = more;
  // Further copies may be made in the background meanwhile, for as many recipients as there were before.
  for (;;) {
    const replicas = services.chunks.replicas(id);
    await addKeys(more, replicas);
    const failure = await tellRelays(more, replicas);
    check();
    if (failure !== undefined && !isEnough(more)) throw failure;
    if (services.chunks.replicas(id).every((replica) => missing(more, replica) === 0)) return;
  }
}

function missing({ services, recipients }: MoreRecipients, { id }: ReplicaRow): number {
  return Math.max(0, recipients - services.chunks.recipients(id).length);
}

async function addKeys(more: MoreRecipients, replicas: readonly ReplicaRow[]): Promise<void> {
  const { chunks, database } = more.services;
  for (const replica of replicas) {
    const keys = await newKeys(missing(more, replica));
    // Others have had their turn meanwhile.
    more.check();
    const known = chunks.recipients(replica.id).length;
    database.transaction(() => {
      chunks.addRecipients(replica.id, known + 1, keys.slice(0, missing(more, replica)));
    });
  }
}

/** Gives the failure of a relay, if there was one. */
async function tellRelays(
  { services, id, signal }: MoreRecipients,
  replicas: readonly ReplicaRow[],
): Promise<Error | undefined> {
  const turn = { owner: id, priority: services.transfers.row(id).priority };
  const run = { services, turn, onBlocked: () => () => undefined };
  const outcomes = await Promise.allSettled(
    // Those whose relay is asked for the first time are told of by their upload.
    replicas
      .filter(({ state }) => state !== 'registering')
      .map((replica) => {
        const server = services.servers.withPassword(parseServerAddress(replica.server));
        return registerRecipients(run, replica, server, {
          signal,
          // Somebody waits for the answer, and may ask again.
          givesUp: () => services.gates.status(replica.server).failures >= PATIENCE,
        });
      }),
  );
  const failed = outcomes.find(({ status }) => status === 'rejected');
  // Only XftpErrors and mistakes of ours, which are Errors too.
  return failed?.status === 'rejected' ? (failed.reason as Error) : undefined;
}

/** Whether each chunk is on a relay that knows all recipients. */
function isEnough({ services, id }: MoreRecipients): boolean {
  const { chunks } = services;
  const enough = new Set(
    chunks
      .replicas(id)
      .filter(
        (replica) =>
          replica.state === 'uploaded' && chunks.recipients(replica.id, { unregistered: true }).length === 0,
      )
      .map(({ chunk }) => chunk),
  );
  return chunks.chunks(id).every(({ number }) => enough.has(number));
}
