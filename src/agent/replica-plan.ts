import { type ServerAddress, XftpError } from '../protocol/index.js';
import { checkReplicaCounts, type ReplicaCounts } from '../transfer/index.js';
import type { ReplicaRow } from './chunk-store.js';
import type { SendParams } from './model.js';
import { serverKey } from './server-store.js';
import type { Taken } from './server-pick.js';

/**
 * What a call asks for, or `usual` if it does not say.
 *
 * @param available the servers to choose from
 * @throws XftpError INVALID_ARGUMENT for counts that make no sense, or if there are too few servers
 */
export function replicaCounts(
  { replicas, replicasRequired, servers }: Pick<SendParams, 'replicas' | 'replicasRequired' | 'servers'>,
  usual: number,
  available: readonly ServerAddress[],
): ReplicaCounts {
  const wanted = replicas ?? Math.max(usual, replicasRequired ?? 1);
  const required = replicasRequired ?? wanted;
  checkReplicaCounts({ wanted, required });
  const { size } = new Set(available.map(serverKey));
  if (size < required)
    throw new XftpError(
      'INVALID_ARGUMENT',
      `The file must be on ${String(required)} relays, and ${servers === undefined ? 'the server list has' : 'the call names'} ${String(size)}: ` +
        `${servers === undefined ? 'add another one with `xftp-agent servers add`' : 'name more'}, or ask for fewer replicas.`,
    );
  return { wanted, required };
}

/** Where the replicas of one chunk are and are about to be: each on a relay of its own. */
export class ReplicaPlaces {
  readonly #uploaded: ReadonlySet<string>;
  readonly #planned = new Map<object, string>();

  /** @param replicas those that there are already and stay */
  constructor(replicas: readonly ReplicaRow[]) {
    this.#uploaded = new Set(replicas.map(({ server }) => server));
  }

  /** Servers that somebody else than `who` has. */
  takenFrom(who: object): Taken {
    const taken = new Set(this.#uploaded);
    for (const [other, server] of this.#planned) if (other !== who) taken.add(server);
    return taken;
  }

  /** From now on `who` has this server and no other; none if undefined. */
  take(who: object, server: string | undefined): void {
    if (server === undefined) this.#planned.delete(who);
    else this.#planned.set(who, server);
  }
}
