import { type FileDescription, parseServerAddress, XftpError } from '../protocol/index.js';
import type { ReceiveStore } from './detail-stores.js';
import { APPROVAL_REASON } from './describe-transfer.js';
import { descriptionOf } from './part-record.js';
import type { Run, RunServices } from './run.js';
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
  const { receives, servers, settings } = run.services;
  const mode = receives.find(run.id)?.approve_relays;
  const harmless = mode === 'all' || (mode === 'ask' && !showsAddress(settings()));
  const unknown = harmless ? [] : unapprovedServers(run.id, receives, servers);
  if (unknown.length === 0) return true;
  if (mode === 'known')
    throw new XftpError(
      'NOT_APPROVED',
      `The file is on relays that the server list does not approve for downloads: ${unknown.join(', ')}.`,
    );
  askForApproval(run.id, unknown, run.services);
  return false;
}

/**
 * Relays see this machine's address from now on: receives that did not have to ask because of a proxy have to ask now,
 * and relays that were not approved are not told any more that a file has come.
 *
 * @param halt ends the run of a transfer
 */
export function judgeAgain(services: RunServices, halt: (id: string) => void): void {
  const { receives, relayTasks, servers, transfers } = services;
  for (const { id, direction } of transfers.interrupted()) {
    const receive = direction === 'receive' ? receives.find(id) : undefined;
    if (receive?.approve_relays !== 'ask' || receive.verified !== 0) continue;
    const unknown = unapprovedServers(id, receives, servers);
    if (unknown.length === 0) continue;
    askForApproval(id, unknown, services);
    halt(id);
  }
  for (const server of relayTasks.servers())
    if (!servers.approves(parseServerAddress(server))) relayTasks.dropAcknowledgements(server);
}

function askForApproval(
  id: string,
  unknown: readonly string[],
  { database, events, transfers }: Pick<RunServices, 'database' | 'events' | 'transfers'>,
): void {
  database.transaction(() => {
    transfers.transition(id, { to: 'awaiting_approval' });
    events.append('transfer.approval', { servers: unknown, reason: APPROVAL_REASON }, id);
  });
}
