import { rm } from 'node:fs/promises';

import { CHUNK_LIFE_MS, discardReplica } from './chunk-upload.js';
import type { SendRow } from './detail-stores.js';
import type { RunServices } from './run.js';
import { isFinal } from './transfer-states.js';

/** Whether relays may have dropped something of a send that they had. */
export function haveExpired({ chunks, clock }: RunServices, id: string): boolean {
  return (chunks.oldestUpload(id) ?? Infinity) + CHUNK_LIFE_MS <= clock.now();
}

/**
 * Gives up what relays may have dropped by now of a send that is not completed, so that it is uploaded again, and the
 * stored descriptions, which tell of it.
 *
 * @param halt ends the run of a transfer, if there is one
 */
export async function forgetExpired(
  services: RunServices,
  { transfer_id: id, replicas_required: required }: SendRow,
  halt: (id: string) => Promise<void>,
): Promise<void> {
  if (!haveExpired(services, id)) return;
  const { chunks, clock, database, sends, snapshotPath, transfers } = services;
  const bound = clock.now() - CHUNK_LIFE_MS;
  const stored = sends.redirects(id).map(({ transfer_id: each }) => each);
  database.transaction(() => {
    for (const each of stored) {
      for (const replica of chunks.replicas(each)) discardReplica(services, replica);
      if (!isFinal(transfers.row(each).state)) transfers.transition(each, { to: 'cancelled' });
      transfers.remove(each);
    }
    const expired = chunks
      .replicas(id)
      .filter(({ state, created_at: at }) => state === 'uploaded' && at <= bound);
    for (const replica of expired) discardReplica(services, replica);
    const numbers = [...new Set(expired.map(({ chunk }) => chunk))];
    chunks.reopen(
      id,
      numbers.filter((number) => chunks.uploadedReplicas(id, number) < required),
    );
    const oldest = chunks.oldestUpload(id);
    transfers.update(id, { expires_at: oldest === undefined ? null : oldest + CHUNK_LIFE_MS });
  });
  await Promise.all(
    stored.map(async (each) => {
      await halt(each);
      await rm(snapshotPath(each), { force: true });
    }),
  );
}
