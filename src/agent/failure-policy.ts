import { type FailureCode, isXftpError, type XftpError } from '../protocol/index.js';
import { isDatabaseBlocked } from './database-failure.js';
import type { FailureInfo } from './model.js';

/**
 * What follows a failure.
 *
 * - `retry`: the server's gate closes for a while; the same step again, until the transfer's deadline
 * - `other-server`: this server does not take the chunk; another one may
 * - `distrust`: like `other-server`, with a security warning: the relay is not who it should be
 * - `other-replica`: this replica is gone
 * - `again`: the bytes were wrong; the same replica once more, then another one
 * - `wait-for-disk`: there is no room; again when there is
 * - `wait-for-database`: the database cannot be written, as for want of room: the whole run again when it can
 * - `fail`: the transfer is over
 * - `stop`: a client or the end of the program stopped the step
 */
export type Consequence =
  | 'retry'
  | 'other-server'
  | 'distrust'
  | 'other-replica'
  | 'again'
  | 'wait-for-disk'
  | 'wait-for-database'
  | 'fail'
  | 'stop';

/** How often a replica may hand out wrong bytes before it counts as bad. */
export const MAX_WRONG_DOWNLOADS = 2;
/** How often a relay may answer that it got other bytes than were sent before the chunk goes elsewhere. */
export const MAX_WRONG_UPLOADS = 3;

/** The one place that decides what follows a failure of a step on a relay or on this machine. */
export function consequenceOf(error: unknown): Consequence {
  if (!isXftpError(error)) return 'fail';
  switch (error.kind) {
    case 'temporary':
      return 'retry';
    case 'identity':
      return 'distrust';
    case 'refused':
      return 'other-server';
    case 'gone':
      return 'other-replica';
    case 'corrupt':
      return 'again';
    case 'local':
      if (isDatabaseBlocked(error)) return 'wait-for-database';
      return error.code === 'DISK_FULL' ? 'wait-for-disk' : 'fail';
    case 'invalid':
    case 'permanent':
      return 'fail';
    case 'cancelled':
      return 'stop';
  }
}

/** What a person can do about a failure, beyond what its message says. */
const HINTS: Partial<Readonly<Record<FailureCode, string>>> = {
  IDENTITY_MISMATCH: 'Do not use this relay until its operator has confirmed its address.',
  RELAY_REFUSED:
    'Give its address with the right password once more to `xftp-agent servers add`, or use another relay.',
  RELAY_FULL: 'Add another relay with `xftp-agent servers add`.',
  CHUNK_GONE: 'Ask the sender to send the file again.',
  CHUNK_MISSING: 'Ask the sender whether the upload is complete.',
  FILE_CORRUPT: 'Ask the sender to send the file again.',
  DISK_FULL: 'Make room on the disk.',
  SOURCE_CHANGED: 'Send the file again, or let the agent take a snapshot.',
  NOT_APPROVED: 'Add the relay to the server list with `xftp-agent servers add`, then ask again.',
};

/** The same about the failure of a transfer, which can wait and be retried. */
const TRANSFER_HINTS: typeof HINTS = {
  CONNECT_FAILED: 'The agent tries again by itself; `xftp-agent servers test` tells more.',
  STALLED: 'The agent tries again by itself; `xftp-agent servers test` tells more.',
  DISK_FULL: 'Make room on the disk; the transfer goes on by itself.',
  FILE_EXISTS: 'Move that file out of the way, then `xftp-agent retry ID`.',
  NOT_APPROVED: 'Add the relay to the server list with `xftp-agent servers add`, then `xftp-agent retry ID`.',
  SOURCE_MISSING: 'Put it where it was, then `xftp-agent retry ID`.',
  DEADLINE_PASSED: '`xftp-agent retry ID` gives it more time.',
};

/** What a person can do about a failure of a call, if there is more to say than its message does. */
export function failureHint(code: FailureCode): string | undefined {
  return HINTS[code];
}

function transferHint(code: FailureCode): string | undefined {
  return TRANSFER_HINTS[code] ?? HINTS[code];
}

/** A failure as clients see it: that of a transfer, unless other hints are given. */
export function toFailureInfo(error: XftpError, hintFor = transferHint): FailureInfo {
  const { code, kind, temporary, message, wire } = error;
  const hint = hintFor(code);
  return {
    code,
    kind,
    temporary,
    message,
    ...(hint === undefined ? {} : { hint }),
    ...(wire === undefined ? {} : { wire }),
  };
}
