import { writeFile } from 'node:fs/promises';

import { formatDescription, XftpError } from '../protocol/index.js';
import { needsRedirect, recipientDescription } from './describe-send.js';
import type { FailureInfo } from './model.js';
import type { RunServices } from './run.js';
import { newTransferId } from './transfer-id.js';

/** File name of a stored description, as official programs give it. */
const FILE_NAME = 'direct.yaml';

const HOUR_MS = 3600_000;

/** What storing descriptions needs. */
export interface RedirectServices {
  readonly services: RunServices;
  /** Resolves when the transfer's state is final. */
  readonly finished: (id: string, signal: AbortSignal) => Promise<void>;
}

/**
 * Uploads descriptions that are too long for a link, each as a file of its own, and waits for that.
 *
 * @throws XftpError with the failure of one that could not be stored; CANCELLED
 */
export async function storeRedirects(
  id: string,
  signal: AbortSignal,
  options: RedirectServices,
): Promise<void> {
  const { services, finished } = options;
  const send = services.sends.find(id);
  if (send === undefined || send.redirect === 'never') return;
  const deadline = deadlineOf(services, id);
  for (let number = 1; number <= send.handed_out; number++)
    await ensureStored(id, { number, deadline }, options);
  const stored = services.sends.redirects(id).map(({ transfer_id: transferId }) => transferId);
  services.database.transaction(() => {
    for (const each of stored) {
      const { state } = services.transfers.row(each);
      // The send may have a later deadline than when it made them.
      if (state !== 'completed') services.transfers.update(each, { deadline });
      if (state === 'failed' || state === 'cancelled' || state === 'paused')
        services.transfers.transition(each, { to: 'queued' });
    }
  });
  services.wake();
  for (const each of stored) {
    await finished(each, signal);
    const { state, failure } = services.transfers.row(each);
    if (state === 'completed') continue;
    // Written by `transition`.
    const info = failure === null ? undefined : (JSON.parse(failure) as FailureInfo);
    throw new XftpError(info?.code ?? 'CANCELLED', info?.message ?? 'The link was not stored.');
  }
}

/** That of the send; a fresh one when the send is over and more recipients are added. */
function deadlineOf({ transfers, clock, settings }: RunServices, id: string): number {
  const { deadline, state } = transfers.row(id);
  return state === 'completed' ? clock.now() + settings().deadlineHours * HOUR_MS : deadline;
}

async function ensureStored(
  sendId: string,
  { number, deadline }: { readonly number: number; readonly deadline: number },
  options: RedirectServices,
): Promise<void> {
  const { services } = options;
  const send = services.sends.find(sendId);
  if (send === undefined) return;
  if (services.sends.redirects(sendId).some(({ redirect_recipient: of }) => of === number)) return;
  const description = recipientDescription(services, sendId, number);
  if (send.redirect === 'auto' && !needsRedirect(description)) return;
  const id = newTransferId();
  const path = services.snapshotPath(id);
  await writeFile(path, formatDescription(description), { mode: 0o600, flag: 'wx', flush: true });
  const row = services.transfers.row(sendId);
  services.transfers.create(
    {
      id,
      direction: 'send',
      tokenId: row.token_id,
      priority: row.priority,
      deadline,
      fileName: FILE_NAME,
      path,
      hidden: true,
    },
    () => {
      services.sends.create(id, {
        snapshotPath: path,
        handedOut: 1,
        recipients: 1,
        ...(send.servers === null ? {} : { servers: JSON.parse(send.servers) as string[] }),
        redirect: 'never',
        redirectOf: { id: sendId, recipient: number },
      });
    },
  );
}
