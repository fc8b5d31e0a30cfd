import {
  encodePlaintextPrefix,
  FILE_KEY_LENGTH,
  FILE_NONCE_LENGTH,
  type ServerAddress,
  XftpError,
} from '../protocol/index.js';
import { constantTimeEqual, randomBytes } from '../crypto/index.js';
import { type PreparedSource, prepareSource, sealChunk, snapshotSource } from '../transfer/index.js';
import { inLanes } from './chunk-lanes.js';
import { ChunkUpload } from './chunk-upload.js';
import type { ChunkRow } from './chunk-store.js';
import type { SendRow } from './detail-stores.js';
import { boundsOf, sourceCheck } from './folder-bounds.js';
import type { Run } from './run.js';
import { ServerPick } from './server-pick.js';

/** Chunks of one transfer that may be under way at once: more would only crowd out other transfers. */
const CHUNKS_AT_ONCE = 8;

/** What a send does beyond its own chunks. */
export interface SendRunOptions {
  /** Makes and waits for the transfers that store descriptions for links. */
  readonly storeRedirects: (run: Run) => Promise<void>;
}

/**
 * Runs a send to its end: prepares the source unless that is done, uploads the chunks that are not on a relay yet, and
 * completes it.
 *
 * @throws XftpError that ends the transfer; CANCELLED when the run was stopped
 */
export async function runSend(run: Run, { storeRedirects }: SendRunOptions): Promise<void> {
  const { services, id } = run;
  await copyBounded(run);
  if (run.row.file_digest === null) await prepare(run);
  run.enter('uploading');
  await uploadChunks(run);
  await storeRedirects(run);
  services.transfers.transition(id, { to: 'completed' });
}

/**
 * A transfer of a token with folders reads its source only once and by a file that was checked after it was opened:
 * afterwards another file could be at its path. A retry has lost the copy, and makes it again here.
 */
async function copyBounded(run: Run): Promise<void> {
  const { services, id, signal, row } = run;
  const bounds = boundsOf(row);
  const { snapshot_path: copied, redirect_of: sendId } = sendOf(run);
  if (bounds === undefined || row.path === null || copied !== null || sendId !== null) return;
  run.enter('preparing');
  const target = services.snapshotPath(id);
  const maxSize = services.settings().maxFileSize;
  await snapshotSource(row.path, target, { maxSize, signal, ...sourceCheck(bounds) });
  services.sends.setSnapshot(id, target);
}

/** Reads the source once and records what any of its chunks can be made from later. */
async function prepare(run: Run): Promise<void> {
  const { services, id, signal } = run;
  run.enter('preparing');
  const { row } = run;
  const send = sendOf(run);
  const name = row.file_name ?? '';
  // New ones at each attempt: the source may be another one by now, and no two texts may share them.
  const key = randomBytes(FILE_KEY_LENGTH);
  const nonce = randomBytes(FILE_NONCE_LENGTH);
  const digests: Uint8Array[] = [];
  const { source, digest } = await prepareSource(
    {
      path: pathOf(run, send),
      name,
      key,
      nonce,
      maxSize: services.settings().maxFileSize,
      // A description goes into one chunk, as the reference has it.
      plan: send.redirect_of === null ? services.settings().chunkSizes : 'single',
    },
    {
      ciphers: services.ciphers,
      signal,
      onChunk: ({ digest: chunkDigest }) => {
        digests.push(chunkDigest);
      },
    },
  );
  services.database.transaction(() => {
    services.chunks.replaceChunks(
      id,
      source.chunkSizes.map((size, index) => {
        const chunkDigest = digests[index];
        return { size, ...(chunkDigest === undefined ? {} : { digest: chunkDigest }) };
      }),
    );
    services.sends.setPrepared(id, {
      size: source.sourceSize,
      modifiedMs: source.modifiedMs,
      tag: source.tag,
    });
    services.transfers.update(id, {
      file_key: key,
      file_nonce: nonce,
      file_digest: digest,
      file_size: source.sourceSize,
      encrypted_size: source.chunkSizes.reduce((sum, size) => sum + size, 0),
    });
  });
}

async function uploadChunks(run: Run): Promise<void> {
  const { services, id } = run;
  const send = sendOf(run);
  const chunks = services.chunks.chunks(id);
  const source = preparedSource(run, send, chunks);
  const pick = new ServerPick(serversOf(run, send), services.gates, services.servers);
  await inLanes(
    chunks.filter(({ state }) => state === 'pending'),
    { most: CHUNKS_AT_ONCE, signal: run.signal },
    (chunk, signal) =>
      run.job(() =>
        new ChunkUpload(run, send, chunk, pick, signal).run((buffer) => seal(run, source, chunk, buffer)),
      ),
  );
}

/** Makes a chunk again and compares it with its record. */
async function seal(
  run: Run,
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

function preparedSource(run: Run, send: SendRow, chunks: readonly ChunkRow[]): PreparedSource {
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
function pathOf(run: Run, send: SendRow): string {
  const path = send.snapshot_path === null ? run.row.path : run.services.snapshotPath(run.id);
  if (path === null) throw new XftpError('DATABASE_UNUSABLE', 'The record of the transfer is incomplete.');
  return path;
}

function sendOf(run: Run): SendRow {
  const send = run.services.sends.find(run.id);
  if (send === undefined)
    throw new XftpError('DATABASE_UNUSABLE', 'The record of the transfer is incomplete.');
  return send;
}

function serversOf(run: Run, send: SendRow): ServerAddress[] {
  const { servers } = run.services;
  // Written from a list of texts.
  const named = send.servers === null ? undefined : (JSON.parse(send.servers) as string[]);
  return named === undefined ? servers.forUpload() : servers.parseList(named);
}
