import { type FileDescription, parseServerAddress, XftpError } from '../protocol/index.js';
import type { ReceiveStore } from './detail-stores.js';
import { APPROVAL_REASON } from './describe-transfer.js';
import { descriptionOf } from './part-record.js';
import type { Run } from './run.js';
import { showsAddress } from './proxy-settings.js';
import { serverKey, type ServerStore } from './server-store.js';

/** Relays of a description that may not be asked without approval. */
export function unknownServers(description: FileDescription, servers: ServerStore): string[] {
  const keys = new Set(
    description.chunks.flatMap(({ replicas }) => replicas.map(({ server }) => serverKey(server))),
  );
  return [...keys].filter((key) => !servers.approves(parseServerAddress(key)));
}

/** Those of a receive. */
export function unapprovedServers(id: string, receives: ReceiveStore, servers: ServerStore): string[] {
  const receive = receives.find(id);
  return receive === undefined ? [] : unknownServers(descriptionOf(receive), servers);
}

/**
 * Whether a receive may ask its relays. If not, it now waits for a client's approval.
 *
 * @throws XftpError NOT_APPROVED when it was told to use known relays only
 */
export function mayUseRelays(run: Run): boolean {
  const { database, events, receives, servers, settings, transfers } = run.services;
  const mode = receives.find(run.id)?.approve_relays;
  const harmless = mode === 'all' || (mode === 'ask' && !showsAddress(settings()));
  const unknown = harmless ? [] : unapprovedServers(run.id, receives, servers);
  if (unknown.length === 0) return true;
  if (mode === 'known')
    throw new XftpError(
      'NOT_APPROVED',
      `The file is on relays that the server list does not approve for downloads: ${unknown.join(', ')}.`,
    );
  database.transaction(() => {
    transfers.transition(run.id, { to: 'awaiting_approval' });
    events.append('transfer.approval', { servers: unknown, reason: APPROVAL_REASON }, run.id);
  });
  return false;
}
