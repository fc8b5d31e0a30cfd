import { describe, expect, it } from 'vitest';

import { refusedStep } from '#src/agent/refused-step.js';

describe('a step that the state of a transfer does not allow', () => {
  it.each([
    ['pause', 'completed', 'The transfer is completed: there is nothing left to pause.'],
    ['pause', 'failed', 'The transfer is failed: it has ended; retry it to go on with what is done.'],
    ['pause', 'paused', 'The transfer is paused: resume it to go on.'],
    ['resume', 'uploading', 'The transfer is uploading: only a paused transfer can be resumed.'],
    ['cancel', 'cancelled', 'The transfer is cancelled: it has ended already; remove it to forget it.'],
    ['retry', 'paused', 'The transfer is paused: resume it instead.'],
    [
      'retry',
      'waiting',
      'The transfer is waiting: it goes on by itself; only one that has ended can be retried.',
    ],
    ['approve', 'queued', 'The transfer is queued: there is nothing to approve.'],
  ] as const)('(%s when it is %s) tells the state and what can be done', (step, state, message) => {
    expect(refusedStep(step, state)).toMatchObject({ code: 'ILLEGAL_STATE', message });
  });
});
