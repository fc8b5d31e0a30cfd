import { sha256 } from '../crypto/index.js';
import { MAX_CHUNKS } from '../protocol/index.js';
import type { ChunkRow } from './chunk-store.js';
import type { Run } from './run.js';

type SplitRun = Pick<Run, 'id' | 'services' | 'row'>;

/** Whether a chunk of a send may be replaced by pieces of this size: not once a relay has it. */
export function maySplit(run: SplitRun, chunk: ChunkRow, size: number): boolean {
  const { chunks, sends } = run.services;
  // The stored description of a link is one chunk, as the reference has it: more would make the link long again.
  if (size >= chunk.size || sends.find(run.id)?.redirect_of !== null) return false;
  if (run.row.chunks_total + chunk.size / size - 1 > MAX_CHUNKS) return false;
  return chunks.replicasOf(run.id, chunk.number).every(({ state }) => state !== 'uploaded');
}

/**
 * Replaces a chunk by pieces of this size. Borders of chunks are invisible to the cipher, so only the digests are new.
 * What relays have of the chunk is deleted when it can be.
 *
 * @param make makes the bytes of the whole chunk and compares them with their record
 * @throws XftpError of `make`
 */
export async function splitChunk(
  run: SplitRun,
  chunk: ChunkRow,
  size: number,
  make: (buffer: Uint8Array) => Promise<Uint8Array>,
): Promise<readonly ChunkRow[]> {
  const { chunks, ciphers, database, relayTasks, wakeRelayTasks } = run.services;
  const buffer = ciphers.memory.take(chunk.size);
  let pieces: { readonly size: number; readonly digest: Uint8Array }[];
  try {
    const bytes = await make(buffer);
    pieces = Array.from({ length: chunk.size / size }, (_, index) => ({
      size,
      digest: sha256(bytes.subarray(index * size, (index + 1) * size)),
    }));
  } finally {
    ciphers.memory.give(buffer);
  }
  database.transaction(() => {
    for (const replica of chunks.replicasOf(run.id, chunk.number)) {
      chunks.setReplicaState(replica.id, 'bad');
      if (replica.access_id !== null)
        relayTasks.add({
          action: 'delete',
          owner: run.id,
          server: replica.server,
          accessId: replica.access_id,
          accessKey: replica.access_key,
        });
    }
    chunks.splitChunk(chunk, pieces);
  });
  wakeRelayTasks();
  return chunks
    .chunks(run.id)
    .filter(({ offset }) => offset >= chunk.offset && offset < chunk.offset + chunk.size);
}
