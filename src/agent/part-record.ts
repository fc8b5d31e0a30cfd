import { join } from 'node:path';

import { type FileDescription, parseDescription, XftpError } from '../protocol/index.js';
import type { ReceiveRow } from './detail-stores.js';
import type { Run } from './run.js';

/** Where a file grows: hidden, in the folder that it is for, under a name that the transfer alone has. */
export function partPathOf(receive: ReceiveRow): string {
  return receive.part_path ?? join(receive.directory, `.${receive.transfer_id}.part`);
}

/** The row of a receive. Throws XftpError DATABASE_UNUSABLE when there is none. */
export function receiveOf(run: Run): ReceiveRow {
  const receive = run.services.receives.find(run.id);
  if (receive === undefined) throw incomplete();
  return receive;
}

/** The failure of a record that lacks what it must have. */
export function incomplete(): XftpError {
  return new XftpError('DATABASE_UNUSABLE', 'The record of the transfer is incomplete.');
}

/** The description of the file itself: for a redirect the one that is stored on relays. */
export function descriptionOf({ description, redirected }: ReceiveRow): FileDescription {
  return parseDescription(redirected ?? description);
}
