import { unlink, writeFile } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';

import { type FileDescription, formatDescription, XftpError } from '../protocol/index.js';
import { localFailure } from '../transfer/index.js';
import { cancelled } from '../transport/index.js';
import { needsRedirect, sendDescriber, storedDescriptions } from './describe-send.js';
import type { SendRow } from './detail-stores.js';
import type { FailureInfo } from './model.js';
import type { RunServices } from './run.js';
import { hoursInMs } from './settings-store.js';
import { newTransferId } from './transfer-id.js';

/** File name of a stored description, as official programs give it. */
const FILE_NAME = 'direct.yaml';

/** Recipients that are looked at before others have their turn: some ms of work. */
const RECIPIENTS_PER_TURN = 64;

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
  await makeMissing(send, { deadline, services, signal });
  const stored = [...storedDescriptions(services, id).values()];
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
  return state === 'completed' ? clock.now() + hoursInMs(settings().deadlineHours) : deadline;
}

interface Making {
  readonly deadline: number;
  readonly services: RunServices;
  readonly signal: AbortSignal;
}

/** Makes the transfers that are not there yet. */
async function makeMissing(send: SendRow, making: Making): Promise<void> {
  const { services } = making;
  const describer = sendDescriber(services, send.transfer_id);
  const stored = storedDescriptions(services, send.transfer_id);
  for (let number = 1; number <= send.handed_out; number++) {
    if (stored.has(number)) continue;
    const description = describer.recipient(number);
    if (send.redirect === 'always' || needsRedirect(description))
      await make(send, { number, description }, making);
    // So that thousands of recipients do not hold up everybody else.
    else if (number % RECIPIENTS_PER_TURN === 0) await setImmediate();
    if (!isWanted(send, making)) throw cancelled();
  }
}

async function make(
  send: SendRow,
  { number, description }: { readonly number: number; readonly description: FileDescription },
  making: Making,
): Promise<void> {
  const { deadline, services } = making;
  const id = newTransferId();
  const path = services.snapshotPath(id);
  await writeFile(path, formatDescription(description), { mode: 0o600, flag: 'wx', flush: true }).catch(
    async (error: unknown) => {
      await unlink(path).catch(() => undefined);
      throw localFailure(error, path);
    },
  );
  if (!isWanted(send, making)) {
    await unlink(path).catch(() => undefined);
    return;
  }
  const row = services.transfers.row(send.transfer_id);
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
      ...(row.isolation === null ? {} : { isolation: row.isolation }),
    },
    () => {
      services.sends.create(id, {
        snapshotPath: path,
        handedOut: 1,
        recipients: 1,
        ...(send.servers === null ? {} : { servers: JSON.parse(send.servers) as string[] }),
        redirect: 'never',
        replicas: { wanted: send.replicas, required: send.replicas_required },
        redirectOf: { id: send.transfer_id, recipient: number },
      });
    },
  );
}

/** Whether the send was not stopped, removed or revoked meanwhile. */
function isWanted({ transfer_id: id }: SendRow, { services, signal }: Making): boolean {
  return !signal.aborted && services.sends.find(id)?.revoked_at === null;
}
