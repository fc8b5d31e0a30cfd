import { XftpError } from '../protocol/index.js';
import type { TransferState } from './model.js';
import { isFinal } from './transfer-states.js';

/** What clients do with a transfer, as far as its state has to fit. */
export type Step = 'pause' | 'resume' | 'cancel' | 'retry' | 'approve';

/** The failure of a step that the state of the transfer does not allow, with what can be done instead. */
export function refusedStep(step: Step, state: TransferState): XftpError {
  return new XftpError('ILLEGAL_STATE', `The transfer is ${state}: ${reasonOf(step, state)}`);
}

function reasonOf(step: Step, state: TransferState): string {
  if (state === 'completed') return `there is nothing left to ${step}.`;
  const ended = isFinal(state);
  switch (step) {
    case 'pause':
    case 'resume':
      if (ended) return `it has ended; retry it to go on with what is done.`;
      return state === 'paused' ? 'resume it to go on.' : 'only a paused transfer can be resumed.';
    case 'cancel':
      return 'it has ended already; remove it to forget it.';
    case 'retry':
      return state === 'paused'
        ? 'resume it instead.'
        : 'it goes on by itself; only one that has ended can be retried.';
    case 'approve':
      return 'there is nothing to approve.';
  }
}
