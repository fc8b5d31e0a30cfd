import { type FileDescription, XftpError } from '../protocol/index.js';
import { followRedirect } from '../transfer/index.js';
import { toFailureInfo } from './failure-policy.js';
import { type Candidate, ReplicaChoice } from './replica-choice.js';
import { downloadFromAny } from './replica-download.js';
import type { Run } from './run.js';
import { serverKey } from './server-store.js';

/** One place where a stored description is. */
interface Place extends Candidate {
  /** The description that leads there and nowhere else. */
  readonly outer: FileDescription;
}

/**
 * Downloads the description that a redirect leads to, from whichever of its replicas has it.
 *
 * @throws XftpError that ends the transfer, or CANCELLED
 */
export async function downloadRedirect(run: Run, outer: FileDescription): Promise<FileDescription> {
  const { ciphers, gates, health } = run.services;
  const { signal } = run;
  const choice = new ReplicaChoice(gates, health);
  const all = placesOf(outer);
  let left: readonly Place[] = all;
  let inner: FileDescription | undefined;
  await downloadFromAny<Place>({
    run,
    choice,
    signal,
    bytes: outer.size,
    replicas: () => left,
    download: async (place, { client, signal: stop, onReceived, finish }) => {
      const found = await followRedirect(place.outer, {
        client,
        ciphers,
        attempts: 1,
        signal: stop,
        onProgress: ({ done }) => {
          onReceived(done);
        },
      });
      await finish(() => {
        inner = found;
      });
    },
    giveUp: ({ id }) => {
      left = left.filter((other) => other.id !== id);
    },
    distrust: ({ server }, reason) => {
      left = left.filter((other) => other.server !== server);
      run.warn('security', toFailureInfo(reason), server);
    },
    noneLeft: () => choice.noneLeft(1, all),
  });
  if (inner === undefined) throw new XftpError('INVALID_DESCRIPTION', 'The description leads nowhere.');
  return inner;
}

/** A place for each replica of the first chunk. Official programs store a description in one chunk. */
function placesOf(outer: FileDescription): Place[] {
  const [first] = outer.chunks;
  return (first?.replicas ?? []).map(({ server }, id) => {
    const chunks = outer.chunks.map((chunk) => ({
      ...chunk,
      replicas: [chunk.replicas[id] ?? chunk.replicas[0]].filter((replica) => replica !== undefined),
    }));
    return { id, server: serverKey(server), outer: { ...outer, chunks } };
  });
}
