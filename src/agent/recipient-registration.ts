import { setImmediate } from 'node:timers/promises';

import { generateKeyPair, publicKeyOf } from '../crypto/index.js';
import type { ServerAddress } from '../protocol/index.js';
import type { RecipientRow, ReplicaRow } from './chunk-store.js';
import type { Ask } from './relay-access.js';
import type { Run } from './run.js';

/** Recipients per request, as official clients send them. */
export const RECIPIENTS_PER_REQUEST = 200;
/** Keys that are made before others have their turn: some ms of work. */
const KEYS_PER_TURN = 64;

/** Asks a relay for the recipients of a chunk that it does not know yet, so many at a time. */
export async function registerRecipients(
  run: Pick<Run, 'services' | 'turn' | 'onBlocked'>,
  replica: ReplicaRow,
  server: ServerAddress,
  wait: Required<Pick<Ask, 'signal' | 'givesUp'>>,
): Promise<void> {
  const { chunks, database, relays } = run.services;
  for (;;) {
    const batch = chunks.recipients(replica.id, { unregistered: true }).slice(0, RECIPIENTS_PER_REQUEST);
    const { access_id: id } = chunks.replica(replica.id) ?? replica;
    if (batch.length === 0 || id === null) return;
    const ask = {
      server,
      action: 'create',
      turn: run.turn,
      chunk: replica.chunk,
      onBlocked: run.onBlocked,
      ...wait,
    } as const;
    const ids = await relays.ask(ask, (client) =>
      client.addRecipients(
        server,
        { id, privateKey: replica.access_key },
        batch.map(({ access_key: key }) => publicKeyOf(key)),
        { signal: wait.signal },
      ),
    );
    await database.transactionAsync(() => {
      chunks.setRecipientIds(replica.id, pairUp(batch, ids));
    });
  }
}

/** Fresh keys for so many recipients. */
export async function newKeys(count: number): Promise<Uint8Array[]> {
  const keys: Uint8Array[] = [];
  while (keys.length < count) {
    // So that thousands of recipients do not hold up everybody else.
    if (keys.length > 0 && keys.length % KEYS_PER_TURN === 0) await setImmediate();
    keys.push(generateKeyPair('ed25519').privateKey);
  }
  return keys;
}

/** The IDs that a relay gave, each with the number of its recipient. */
export function pairUp(
  recipients: readonly RecipientRow[],
  ids: readonly Uint8Array[],
): { readonly number: number; readonly id: Uint8Array }[] {
  return recipients.flatMap(({ number }, index) => {
    const id = ids[index];
    return id === undefined ? [] : [{ number, id }];
  });
}
