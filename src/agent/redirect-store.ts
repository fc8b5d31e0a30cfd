import { writeFile } from 'node:fs/promises';

import { formatDescription, XftpError } from '../protocol/index.js';
import { needsRedirect, recipientDescription } from './describe-send.js';
import type { FailureInfo } from './model.js';
import type { Run, RunServices } from './run.js';
import { newTransferId } from './transfer-id.js';
import { isFinal } from './transfer-states.js';

/** File name of a stored description, as official programs give it. */
const FILE_NAME = 'direct.yaml';

/** What storing descriptions needs. */
export interface RedirectServices {
  readonly services: RunServices;
  /** Path for the file of a transfer that the agent makes. */
  readonly snapshotPath: (id: string) => string;
  /** Resolves when the transfer's state is final. */
  readonly finished: (id: string, signal: AbortSignal) => Promise<void>;
}

/**
 * Uploads descriptions that are too long for a link, each as a file of its own, and waits for that.
 *
 * @throws XftpError with the failure of one that could not be stored; CANCELLED
 */
export async function storeRedirects(run: Run, options: RedirectServices): Promise<void> {
  const { services, finished } = options;
  const send = services.sends.find(run.id);
  if (send === undefined || send.redirect === 'never') return;
  for (let number = 1; number <= send.handed_out; number++) await ensureStored(run, number, options);
  const stored = services.sends.redirects(run.id).map(({ transfer_id: id }) => id);
  for (const id of stored) {
    const { state } = services.transfers.row(id);
    if (state === 'failed' || state === 'cancelled') services.transfers.transition(id, { to: 'queued' });
  }
  services.wake();
  for (const id of stored) {
    await finished(id, run.signal);
    const { state, failure } = services.transfers.row(id);
    if (state === 'completed') continue;
    // Written by `transition`.
    const info = failure === null ? undefined : (JSON.parse(failure) as FailureInfo);
    throw new XftpError(info?.code ?? 'CANCELLED', info?.message ?? 'The link was not stored.');
  }
}

async function ensureStored(run: Run, number: number, options: RedirectServices): Promise<void> {
  const { services, snapshotPath } = options;
  const send = services.sends.find(run.id);
  if (send === undefined) return;
  if (services.sends.redirects(run.id).some(({ redirect_recipient: of }) => of === number)) return;
  const description = recipientDescription(services, run.id, number);
  if (send.redirect === 'auto' && !needsRedirect(description)) return;
  const id = newTransferId();
  const path = snapshotPath(id);
  await writeFile(path, formatDescription(description), { mode: 0o600, flag: 'wx', flush: true });
  const { row } = run;
  services.transfers.create(
    {
      id,
      direction: 'send',
      tokenId: row.token_id,
      priority: row.priority,
      deadline: row.deadline,
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
        redirectOf: { id: run.id, recipient: number },
      });
    },
  );
}

/** Whether a send's stored descriptions are all over, one way or the other. */
export function redirectsFinished(services: RunServices, id: string): boolean {
  return services.sends
    .redirects(id)
    .every(({ transfer_id: stored }) => isFinal(services.transfers.row(stored).state));
}
