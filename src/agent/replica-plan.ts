import { type ServerAddress, XftpError } from '../protocol/index.js';
import type { ReplicaRow } from './chunk-store.js';
import type { SendParams } from './model.js';
import { serverKey } from './server-store.js';
import type { Taken } from './server-pick.js';

/** Most relays that a chunk may be on: beyond that, copies cost more than they are worth. */
export const MAX_REPLICAS = 8;

/** On how many relays each chunk is to be, and must be for the send to be completed. */
export interface ReplicaCounts {
  readonly wanted: number;
  readonly required: number;
}

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

/**
 * One failure that tells what each of several relays said.
 *
 * @param failures by address of the relay
 * @param last gives the code; it is given back as it is when it is the only one
 */
export function severalFailures(
  failures: ReadonlyMap<string, XftpError>,
  last: XftpError | undefined,
): XftpError | undefined {
  if (failures.size < 2 || last === undefined) return last;
  const said = [...failures].map(([server, { message }]) => `${server}: ${message}`).join(' ');
  return new XftpError(last.code, `${String(failures.size)} relays failed. ${said}`, { cause: last });
}
