import type { Direction, TransferState } from './model.js';

// The states of a transfer.
//
// queued             Nothing runs. Its turn comes by priority, then by age.
// preparing          Send: the source is read once; chunk digests, the file's digest and tag are recorded.
// uploading          Send: chunks are registered and uploaded, several at once.
// awaiting_approval  Receive: relays that are not known would see this machine's address; a client must approve.
// downloading        Receive: chunks come into the part file, in any order.
// verifying          Receive: the part file is checked as a whole; chunks that a crash tore go back to downloading.
// waiting            It wants to go on and cannot: no network, no relay that answers, no room on the disk.
// paused             A client stopped it; `resume` puts it back into the queue.
// failed             It ended without success; `retry` puts it back into the queue.
// cancelled          A client ended it; `retry` puts it back into the queue.
// completed          Send: every chunk is on its relay. Receive: the file is verified, flushed and in place.

const WORKING = ['preparing', 'uploading', 'downloading', 'verifying'] as const;
const STOPS = ['waiting', 'paused', 'failed', 'cancelled'] as const;

/** What may follow each state. */
const NEXT: Readonly<Record<TransferState, readonly TransferState[]>> = {
  queued: [...WORKING, 'awaiting_approval', ...STOPS],
  preparing: ['uploading', ...STOPS],
  uploading: ['completed', ...STOPS],
  awaiting_approval: ['queued', 'paused', 'failed', 'cancelled'],
  // The description behind a redirect may name relays that are not known.
  downloading: ['verifying', 'awaiting_approval', ...STOPS],
  // A restart asks anew: a relay that was known may be so no longer.
  verifying: ['downloading', 'awaiting_approval', 'completed', ...STOPS],
  waiting: [...WORKING, 'awaiting_approval', 'paused', 'failed', 'cancelled'],
  paused: ['queued', 'failed', 'cancelled'],
  failed: ['queued'],
  cancelled: ['queued'],
  completed: [],
};

/** States that only transfers of one direction have. */
const ONLY: Partial<Readonly<Record<TransferState, Direction>>> = {
  preparing: 'send',
  uploading: 'send',
  awaiting_approval: 'receive',
  downloading: 'receive',
  verifying: 'receive',
};

/** Every state: the table above has a row for each. */
export const TRANSFER_STATES = Object.keys(NEXT) as readonly TransferState[];

/** States in which a transfer is over, until it is retried. */
export const FINAL_STATES = ['failed', 'cancelled', 'completed'] as const satisfies readonly TransferState[];

/** States in which the agent works on a transfer, or did when it was stopped. */
export const RUNNING_STATES = [...WORKING, 'waiting'] as const satisfies readonly TransferState[];

/** Whether a transfer of this direction may go from one state to the other. */
export function mayFollow(direction: Direction, from: TransferState, to: TransferState): boolean {
  return NEXT[from].includes(to) && (ONLY[to] ?? direction) === direction;
}

/** Whether the transfer is over, until it is retried. */
export function isFinal(state: TransferState): boolean {
  return (FINAL_STATES as readonly TransferState[]).includes(state);
}
