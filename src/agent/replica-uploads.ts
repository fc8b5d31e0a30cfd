import { isXftpError, type XftpError } from '../protocol/index.js';
import { TaskGroup } from '../transfer/index.js';
import { maySplit, splitChunk } from './chunk-split.js';
import type { ChunkRow, ReplicaRow } from './chunk-store.js';
import { ChunkUpload, type MakeChunk, type UploadRun } from './chunk-upload.js';
import type { SendRow } from './detail-stores.js';
import { consequenceOf } from './failure-policy.js';
import { ReplicaPlaces } from './replica-plan.js';
import type { ServerPick } from './server-pick.js';

/** A chunk of a send that is to be on so many relays. */
export interface ReplicaUploads {
  readonly run: UploadRun;
  readonly send: SendRow;
  readonly chunk: ChunkRow;
  /** How many replicas are to be there in the end; those that are there already count. */
  readonly count: number;
  readonly pick: ServerPick;
  /** Whether it goes to as many relays as can be had; what is missing is thrown when all others have it. */
  readonly asMany?: boolean;
  readonly signal: AbortSignal;
}

/**
 * Uploads a chunk until so many relays have it, to all of them at once. What earlier tries have got as far as a relay is
 * gone on with. A chunk that is too large for the way to one of them is split, as long as no relay has it.
 *
 * @returns the pieces that took the place of a chunk that was split, to be uploaded instead; mostly none
 * @throws XftpError that ends the transfer, or CANCELLED
 */
export async function uploadReplicas(what: ReplicaUploads, make: MakeChunk): Promise<readonly ChunkRow[]> {
  const { run, chunk } = what;
  for (;;) {
    const size = await uploadMissing(what, make);
    if (size === undefined) return [];
    // Another relay may have got it meanwhile.
    if (maySplit(run, chunk, size)) return await splitChunk(run, chunk, size, make);
  }
}

/** Gives how large chunks may be when this one is too large; then nothing of it is under way any more. */
async function uploadMissing(
  { run, send, chunk, count, pick, asMany = false, signal }: ReplicaUploads,
  make: MakeChunk,
): Promise<number | undefined> {
  const { chunks, progress } = run.services;
  const known = chunks.replicasOf(run.id, chunk.number);
  const uploaded = known.filter(({ state }) => state === 'uploaded');
  const isOpen = ({ server }: ReplicaRow): boolean => run.services.gates.isOpen(server);
  const begun = known
    .filter(({ state }) => state !== 'uploaded')
    .sort((one, other) => Number(isOpen(other)) - Number(isOpen(one)));
  const missing = Math.max(0, count - uploaded.length);
  const places = new ReplicaPlaces([...uploaded, ...begun.slice(missing)]);
  const sent = new Map<number, number>();
  const failures: XftpError[] = [];
  const group = new TaskGroup(signal);
  const slots = Array.from({ length: missing }, (_, slot) => slot);
  const uploads = slots.map((slot) => {
    const onSent = (bytes: number): void => {
      sent.set(slot, bytes);
      const all = [...sent.values()].reduce((sum, each) => sum + each, uploaded.length * chunk.size);
      progress.moving(run.id, chunk.number, Math.floor(all / count));
    };
    const replica = begun[slot];
    return new ChunkUpload({
      run,
      send,
      chunk,
      pick,
      places,
      signal: group.signal,
      onSent,
      ...(replica === undefined ? {} : { replica }),
    });
  });
  try {
    await group.run(async () => {
      // Each has its place before the first one looks for another.
      const outcomes = uploads.map((upload) =>
        group.add(async () => {
          try {
            await uploadOrStop(upload, make);
          } catch (error) {
            if (!asMany || !isNoServerLeft(error)) throw error;
            failures.push(error);
          }
        }),
      );
      await Promise.all(outcomes);
    });
    const [failure] = failures;
    if (failure !== undefined) throw failure;
    return undefined;
  } catch (error) {
    if (error instanceof TooLarge) return error.size;
    throw error;
  } finally {
    progress.moving(run.id, chunk.number, 0);
  }
}

/** Whether one replica cannot be made for want of a relay; others may. */
export function isNoServerLeft(error: unknown): error is XftpError {
  if (!isXftpError(error)) return false;
  return ['other-server', 'distrust'].includes(consequenceOf(error)) || error.code === 'INVALID_ARGUMENT';
}

/** Stops the chunk's other uploads: it is to be split. */
class TooLarge extends Error {
  /** How large chunks may be, in bytes. */
  readonly size: number;

  constructor(size: number) {
    super('The chunk is too large for its way.');
    this.size = size;
  }
}

async function uploadOrStop(upload: ChunkUpload, make: MakeChunk): Promise<void> {
  const size = await upload.run(make);
  if (size !== undefined) throw new TooLarge(size);
}

/**
 * Registers a chunk with further relays, up to so many, without its bytes. Relays that do not answer now are left for
 * later.
 *
 * @throws XftpError when that cannot be recorded, or the run was stopped
 */
export async function registerFurther({
  run,
  send,
  chunk,
  count,
  pick,
  signal,
}: ReplicaUploads): Promise<void> {
  const known = run.services.chunks.replicasOf(run.id, chunk.number);
  const places = new ReplicaPlaces(known);
  const options = { run, send, chunk, pick, places, signal, onSent: () => undefined };
  for (let number = known.length; number < count && !signal.aborted; number += 1) {
    const upload = new ChunkUpload(options);
    if (!pick.hasOpen(places.takenFrom(upload))) return;
    try {
      await upload.registerOnly();
    } catch (error) {
      if (!isXftpError(error) || consequenceOf(error) === 'wait-for-database') throw error;
      return;
    }
  }
}
