import { dirname } from 'node:path';

import { FILE_KEY_LENGTH, FILE_NONCE_LENGTH, isXftpError } from '../protocol/index.js';
import { randomBytes } from '../crypto/index.js';
import { prepareSource, snapshotSource } from '../transfer/index.js';
import { inLanes } from './chunk-lanes.js';
import { forgetExpired, haveExpired } from './expired-uploads.js';
import { consequenceOf } from './failure-policy.js';
import { boundsOf, sourceCheck } from './folder-bounds.js';
import { registerFurther, uploadReplicas } from './replica-uploads.js';
import type { Run } from './run.js';
import { pathOf, preparedSource, seal, sendOf, serversOf } from './send-source.js';
import { ServerPick } from './server-pick.js';

/** Chunks of one transfer that may be under way at once: more would only crowd out other transfers. */
const CHUNKS_AT_ONCE = 8;

/**
 * Chunks under way for each one that the ways to relays take at once: while one is on its way, another is registered. On
 * a narrow way more of them would only take the room of those that move.
 */
const LANES_PER_PLACE = 2;

/** Relays that do not answer within so long, in ms, do not hold up the end of a send that does not need them. */
const REGISTER_AHEAD_MS = 5000;

/** Room for a stored description, in bytes: most are a few KiB. */
const DESCRIPTION_ROOM = 64 * 1024;

/** What a send does beyond its own chunks. */
export interface SendRunOptions {
  /** Makes and waits for the transfers that store descriptions for links. */
  readonly storeRedirects: (run: Run) => Promise<void>;
  /** Ends the run of another transfer, if there is one. */
  readonly halt: (id: string) => Promise<void>;
}

/**
 * Runs a send to its end: prepares the source unless that is done, uploads the chunks that are not on a relay yet, and
 * completes it.
 *
 * @throws XftpError that ends the transfer; CANCELLED when the run was stopped
 */
export async function runSend(run: Run, { storeRedirects, halt }: SendRunOptions): Promise<void> {
  const { services, id } = run;
  await copyBounded(run);
  if (run.row.file_digest === null) await prepare(run);
  run.enter('uploading');
  const send = sendOf(run);
  const pick = new ServerPick(
    { listed: () => serversOf(run, send), copies: send.replicas_required },
    services.gates,
    services.servers,
  );
  do {
    await forgetExpired(services, send, halt);
    await uploadChunks(run, pick);
    await registerAhead(run, pick);
    await storeLinks(run, storeRedirects);
    // Relays keep chunks for two days; a send may take longer.
  } while (haveExpired(services, id));
  const { replicas, replicas_required: required } = sendOf(run);
  services.database.transaction(() => {
    if (replicas > required) services.sends.setReplicating(id, true);
    services.transfers.transition(id, { to: 'completed' });
  });
}

/** Stores descriptions for links, and again when the disk of the data folder was full and has room. */
async function storeLinks(run: Run, storeRedirects: SendRunOptions['storeRedirects']): Promise<void> {
  const folder = dirname(run.services.snapshotPath(run.id));
  await run.job(async () => {
    for (;;)
      try {
        await storeRedirects(run);
        return;
      } catch (error) {
        if (!isXftpError(error) || consequenceOf(error) !== 'wait-for-disk') throw error;
        await run.waitForDisk(folder, DESCRIPTION_ROOM, error);
      }
  });
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

async function uploadChunks(run: Run, pick: ServerPick): Promise<void> {
  const { services, id } = run;
  const send = sendOf(run);
  const chunks = services.chunks.chunks(id);
  const source = preparedSource(run, send, chunks);
  const pending = chunks.filter(({ state }) => state === 'pending');
  const most = (): number => Math.min(CHUNKS_AT_ONCE, LANES_PER_PLACE * pick.placesUp(services.relays));
  await inLanes(pending, { most, signal: run.signal }, (chunk, signal) =>
    run.job(() =>
      uploadReplicas({ run, send, chunk, count: send.replicas_required, pick, signal }, (buffer) =>
        seal(run, source, chunk, buffer),
      ),
    ),
  );
}

/**
 * Replicas that follow when the send is completed are registered before, where relays answer at once: so descriptions
 * that are handed out early name them too.
 */
async function registerAhead(run: Run, pick: ServerPick): Promise<void> {
  const send = sendOf(run);
  if (send.replicas === send.replicas_required) return;
  const until = AbortSignal.any([run.signal, AbortSignal.timeout(REGISTER_AHEAD_MS)]);
  const chunks = run.services.chunks.chunks(run.id);
  await inLanes(chunks, { most: () => CHUNKS_AT_ONCE, signal: run.signal }, async (chunk) => {
    await registerFurther({ run, send, chunk, count: send.replicas, pick, signal: until });
    return [];
  });
}
