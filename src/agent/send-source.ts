import { encodePlaintextPrefix, type ServerAddress, XftpError } from '../protocol/index.js';
import { constantTimeEqual } from '../crypto/index.js';
import { type PreparedSource, sealChunk } from '../transfer/index.js';
import type { ChunkRow } from './chunk-store.js';
import type { SendRow } from './detail-stores.js';
import type { Run } from './run.js';

/** Whoever makes chunks of a send. */
type SourceRun = Pick<Run, 'id' | 'services' | 'row'>;

/** Makes a chunk again and compares it with its record. Throws XftpError SOURCE_CHANGED. */
export async function seal(
  run: SourceRun,
  source: PreparedSource,
  chunk: ChunkRow,
  buffer: Uint8Array,
): Promise<Uint8Array> {
  const digest = await sealChunk(source, chunk, buffer, run.services.ciphers);
  if (chunk.digest === null || !constantTimeEqual(digest, chunk.digest))
    throw new XftpError(
      'SOURCE_CHANGED',
      `${source.path} changed while it was being sent: send it again when nothing writes to it.`,
    );
  return buffer.subarray(0, chunk.size);
}

/** What all chunks are made from. Throws XftpError DATABASE_UNUSABLE. */
export function preparedSource(run: SourceRun, send: SendRow, chunks: readonly ChunkRow[]): PreparedSource {
  const { file_key: key, file_nonce: nonce, file_name: name } = run.row;
  const { source_size: sourceSize, source_mtime_ms: modifiedMs, tag } = send;
  if (key === null || nonce === null || sourceSize === null || modifiedMs === null || tag === null)
    throw new XftpError('DATABASE_UNUSABLE', 'The record of the transfer is incomplete.');
  return {
    path: pathOf(run, send),
    prefix: encodePlaintextPrefix({ name: name ?? '' }, sourceSize),
    sourceSize,
    modifiedMs,
    chunkSizes: chunks.map(({ size }) => size),
    key,
    nonce,
    tag,
  };
}

/** What is read: the snapshot, or the source itself. */
export function pathOf(run: SourceRun, send: SendRow): string {
  const path = send.snapshot_path === null ? run.row.path : run.services.snapshotPath(run.id);
  if (path === null) throw new XftpError('DATABASE_UNUSABLE', 'The record of the transfer is incomplete.');
  return path;
}

/** The row of a send. Throws XftpError DATABASE_UNUSABLE when there is none. */
export function sendOf(run: SourceRun): SendRow {
  const send = run.services.sends.find(run.id);
  if (send === undefined)
    throw new XftpError('DATABASE_UNUSABLE', 'The record of the transfer is incomplete.');
  return send;
}

/** The servers that a send may choose from. */
export function serversOf(run: SourceRun, send: SendRow): readonly ServerAddress[] {
  const { servers } = run.services;
  // Written from a list of texts.
  const named = send.servers === null ? undefined : (JSON.parse(send.servers) as string[]);
  return named === undefined ? servers.forUpload() : servers.parseList(named);
}
