import { rename, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';

import {
  type FileDescription,
  formatDescription,
  isXftpError,
  parseDescription,
  type Replica,
} from '../protocol/index.js';
import {
  type EncryptedFile,
  fileIdentity,
  isFile,
  safeFileName,
  TaskGroup,
  verifyPart,
} from '../transfer/index.js';
import { cancelled, throwIfAborted } from '../transport/index.js';
import { mayUseRelays } from './approval.js';
import { ChunkDownload } from './chunk-download.js';
import type { ChunkRow } from './chunk-store.js';
import { consequenceOf } from './failure-policy.js';
import { boundsOf, finishInside, workInside } from './folder-bounds.js';
import { incomplete, receiveOf } from './part-record.js';
import { downloadRedirect } from './redirect-download.js';
import { ReplicaChoice } from './replica-choice.js';
import type { Run } from './run.js';
import { serverKey } from './server-store.js';

/** Chunks of one transfer that may be under way at once: more would only crowd out other transfers. */
const CHUNKS_AT_ONCE = 8;
/** Bytes that have to be free before a file on the disk gets its name: how many it takes is the file system's secret. */
const ANY_ROOM = 1;

/**
 * Runs a receive to its end: follows a redirect, downloads what is not in the part file yet, verifies it, and puts the
 * file in place.
 *
 * @throws XftpError that ends the transfer; CANCELLED when the run was stopped
 */
export async function runReceive(run: Run): Promise<void> {
  if (receiveOf(run).verified === 0) {
    if (!mayUseRelays(run)) return;
    // The description behind a redirect may name other relays.
    if ((await resolveRedirect(run)) && !mayUseRelays(run)) return;
    do await downloadChunks(run);
    while (!(await whenThereIsRoom(run, () => verify(run))));
  } else run.enter('verifying');
  await whenThereIsRoom(run, () => deliver(run));
}

/** Does a step that may be repeated, and again when the disk was full and has room. */
async function whenThereIsRoom<T>(run: Run, step: () => Promise<T>): Promise<T> {
  return run.job(async () => {
    for (;;)
      try {
        return await step();
      } catch (error) {
        if (!isXftpError(error) || consequenceOf(error) !== 'wait-for-disk') throw error;
        // What the file itself needs it has already.
        await run.waitForDisk(receiveOf(run).directory, ANY_ROOM, error);
        run.enter('verifying');
      }
  });
}

/** Records the chunks of a file and where they are. */
export function recordChunks(run: Pick<Run, 'id' | 'services'>, description: FileDescription): void {
  const { chunks, database, transfers } = run.services;
  database.transaction(() => {
    chunks.replaceChunks(run.id, description.chunks);
    for (const { number, replicas } of description.chunks)
      for (const { server, id, key } of replicas)
        chunks.addReplica({
          transferId: run.id,
          chunk: number,
          server: serverKey(server),
          state: 'usable',
          accessId: id,
          accessKey: key,
        });
    transfers.update(run.id, {
      encrypted_size: description.size,
      file_key: description.key,
      file_nonce: description.nonce,
      file_digest: description.digest,
    });
  });
}

/** Downloads the description that a redirect leads to, once; false if there was nothing to follow. */
async function resolveRedirect(run: Run): Promise<boolean> {
  const receive = receiveOf(run);
  const outer = parseDescription(receive.description);
  if (outer.redirect === undefined || receive.redirected !== null) return false;
  run.enter('downloading');
  const { database, receives } = run.services;
  const inner = await run.job(() => downloadRedirect(run, outer));
  database.transaction(() => {
    receives.setRedirected(run.id, formatDescription(inner));
    recordChunks(run, inner);
  });
  return true;
}

async function downloadChunks(run: Run): Promise<void> {
  run.enter('downloading');
  const { chunks } = run.services;
  const all = chunks.chunks(run.id);
  const file = encryptedFile(run, all);
  const [first, ...others] = all.filter(({ state }) => state === 'pending');
  if (first === undefined) return;
  // The first chunk of the file tells where the content of all others starts.
  const known = receiveOf(run).prefix !== null;
  const choice = new ReplicaChoice(run.services.gates, run.services.health);
  const download = (chunk: ChunkRow, signal: AbortSignal): Promise<void> =>
    run.job(() => new ChunkDownload({ run, chunk, file, choice, signal }).run());
  if (!known) await download(first, run.signal);
  const next = (known ? [first, ...others] : others)[Symbol.iterator]();
  const group = new TaskGroup(run.signal);
  const lane = async (): Promise<void> => {
    for (const chunk of next) await download(chunk, group.signal);
  };
  await group.run(async () => {
    await Promise.all(Array.from({ length: Math.min(CHUNKS_AT_ONCE, all.length) }, () => group.add(lane)));
  });
}

/** Verifies the part file; false when chunks of it have to be downloaded again. Its delivery records that it was. */
async function verify(run: Run): Promise<boolean> {
  run.enter('verifying');
  const { chunks, ciphers } = run.services;
  const all = chunks.chunks(run.id);
  const { part_path: partPath, prefix } = receiveOf(run);
  const { file_digest: digest } = run.row;
  if (partPath === null || prefix === null || digest === null) throw incomplete();
  const chunkDigests = all.map((chunk) => chunk.digest ?? new Uint8Array());
  const { torn } = await verifyPart(
    { ...encryptedFile(run, all), partPath, prefix, chunkDigests, digest },
    { ciphers, signal: run.signal },
  );
  if (torn.length > 0) chunks.reopen(run.id, torn);
  return torn.length === 0;
}

/** Gives the verified file its final name, and tells of it. */
async function deliver(run: Run): Promise<void> {
  const { chunks, ciphers, database, receives, relayTasks, transfers, wakeRelayTasks } = run.services;
  const receive = receiveOf(run);
  const { file_size: contentLength, file_name: name } = run.row;
  const { part_path: partPath, final_path: finalPath } = receive;
  if (partPath === null || contentLength === null) throw incomplete();
  const bounds = boundsOf(run.row);
  throwIfAborted(run.signal);
  const own =
    (await fileIdentity(partPath)) ?? (finalPath === null ? undefined : await fileIdentity(finalPath));
  const path = await finishInside(
    bounds,
    {
      partPath,
      contentLength,
      directory: receive.directory,
      name: safeFileName(receive.wanted_name ?? name ?? ''),
      onConflict: receive.on_conflict,
      ...(finalPath === null ? {} : { finalPath }),
    },
    {
      ciphers,
      onChosen: (chosen) => {
        throwIfAborted(run.signal);
        receives.setChosen(run.id, chosen);
      },
    },
  ).catch((error: unknown) => {
    // Neither the part nor the file is there as it was: a retry can only begin with the download.
    if (isXftpError(error, 'SOURCE_MISSING') || isXftpError(error, 'FILE_CORRUPT'))
      receives.forgetVerified(run.id);
    throw error;
  });
  if (transfers.find(run.id)?.state !== 'verifying') {
    // What was overwritten does not come back: the new file stays, and a transfer that goes on finds it there.
    if (own !== undefined && receive.on_conflict !== 'overwrite')
      await workInside(bounds, receive.directory, async (folder) => {
        const placed = join(folder, basename(path));
        // Another receive may have replaced the file already.
        if (await isFile(placed, own)) await takeBack(run, join(folder, basename(partPath)), placed);
      });
    throw cancelled();
  }
  database.transaction(() => {
    transfers.update(run.id, { path });
    transfers.transition(run.id, { to: 'completed' });
    if (receive.acknowledge === 0) return;
    const task = { action: 'acknowledge', transferId: run.id, owner: run.id } as const;
    for (const { server, access_id: accessId, access_key: accessKey } of chunks.replicas(run.id))
      if (accessId !== null) relayTasks.add({ ...task, server, accessId, accessKey });
    if (receive.redirected === null) return;
    // The stored description was downloaded too.
    for (const { server, id: accessId, key: accessKey } of replicasOf(receive.description))
      relayTasks.add({
        ...task,
        server: serverKey(server),
        accessId,
        accessKey,
      });
  });
  if (receive.acknowledge !== 0) wakeRelayTasks();
}

/** The transfer was stopped while the file got its name: under that one it is only when the transfer is completed. */
async function takeBack(run: Run, partPath: string, path: string): Promise<void> {
  const { receives, transfers } = run.services;
  const state = transfers.find(run.id)?.state;
  await (state === undefined || state === 'cancelled' ? unlink(path) : rename(path, partPath));
  receives.forgetFinalPath(run.id);
}

function replicasOf(description: string): readonly Replica[] {
  return parseDescription(description).chunks.flatMap(({ replicas }) => replicas);
}

function encryptedFile(run: Run, all: readonly ChunkRow[]): EncryptedFile {
  const { file_key: key, file_nonce: nonce } = run.row;
  if (key === null || nonce === null) throw incomplete();
  return { key, nonce, chunkSizes: all.map(({ size }) => size) };
}
