import { type FileDescription, isXftpError, type ServerAddress, XftpError } from '../protocol/index.js';
import { followRedirect } from '../transfer/index.js';
import { consequenceOf, MAX_CORRUPT, toFailureInfo } from './failure-policy.js';
import type { Run } from './run.js';
import { serverKey } from './server-store.js';

/** One place where a stored description is, and what became of it. */
interface Place {
  readonly server: ServerAddress;
  /** The description that leads there and nowhere else. */
  readonly outer: FileDescription;
  corrupt: number;
}

/**
 * Downloads the description that a redirect leads to, from whichever of its replicas has it.
 *
 * @throws XftpError that ends the transfer, or CANCELLED
 */
export async function downloadRedirect(run: Run, outer: FileDescription): Promise<FileDescription> {
  const { ciphers, gates, relays } = run.services;
  const places = placesOf(outer);
  let failure = new XftpError('INVALID_DESCRIPTION', 'The description names no relay.');
  for (;;) {
    const place = places.find(({ server }) => gates.isOpen(serverKey(server))) ?? places[0];
    if (place === undefined) throw failure;
    const ask = {
      server: place.server,
      action: 'download',
      bytes: outer.size,
      turn: run.turn,
      signal: run.signal,
      onBlocked: run.onBlocked,
    } as const;
    try {
      return await relays.ask(ask, (client) =>
        followRedirect(place.outer, { client, ciphers, attempts: 1, signal: run.signal }),
      );
    } catch (error) {
      if (!isXftpError(error) || !mayTryOn(run, place, error)) throw error;
      failure = error;
      if (isUseless(place, error)) places.splice(places.indexOf(place), 1);
    }
  }
}

/** A place for each replica of the first chunk. Official programs store a description in one chunk. */
function placesOf(outer: FileDescription): Place[] {
  const [first] = outer.chunks;
  return (first?.replicas ?? []).map(({ server }, index) => {
    const chunks = outer.chunks.map((chunk) => ({
      ...chunk,
      replicas: [chunk.replicas[index] ?? chunk.replicas[0]].filter((replica) => replica !== undefined),
    }));
    return { server, outer: { ...outer, chunks }, corrupt: 0 };
  });
}

function mayTryOn(run: Run, place: Place, error: XftpError): boolean {
  switch (consequenceOf(error)) {
    case 'distrust':
      run.warn('security', toFailureInfo(error), serverKey(place.server));
      return true;
    case 'retry':
      return !run.signal.aborted;
    case 'other-server':
    case 'other-replica':
    case 'again':
      return true;
    case 'wait-for-disk':
    case 'wait-for-database':
    case 'fail':
    case 'stop':
      return false;
  }
}

/** Whether the place is out of the question after this failure. */
function isUseless(place: Place, error: XftpError): boolean {
  if (error.temporary) return false;
  if (error.kind === 'corrupt') place.corrupt += 1;
  return error.kind !== 'corrupt' || place.corrupt >= MAX_CORRUPT;
}
