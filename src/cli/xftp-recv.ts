import { stat, unlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

import type { FileDescription } from '../protocol/index.js';
import {
  acknowledgeFile,
  type Destination,
  ensureFolder,
  followRedirect,
  receiveFile,
} from '../transfer/index.js';
import { isLink, readDescription } from './description-input.js';
import type { Output } from './output.js';
import { confirm } from './question.js';
import { withTransferSession } from './transfer-session.js';

/** Options of `xftp recv`. */
export interface ReceiveOptions {
  /** A description's path, or a link. */
  readonly from: string;
  /** A folder, or the path of the file to be; the downloads folder if absent. */
  readonly to?: string;
  readonly attempts: number;
  /** Delete the description without asking. */
  readonly yes: boolean;
}

/** `xftp recv`: downloads a file, tells the relays, and offers to delete the description. */
export async function runReceive(options: ReceiveOptions, output: Output): Promise<void> {
  const { from, attempts } = options;
  const description = await readDescription(from);
  const destination = await chooseDestination(options.to);
  const received = await withTransferSession({ attempts, output }, async ({ context }) => {
    const used: FileDescription[] = [description];
    let actual = description;
    if (description.redirect !== undefined) {
      actual = await followRedirect(description, context('Following the link'));
      used.push(actual);
    }
    const file = await receiveFile({ description: actual, destination }, context('Downloading'));
    output.endProgress();
    // Only now: a download that fails half-way can be repeated with the same description.
    for (const each of used) await acknowledgeFile(each, context('Acknowledging'));
    return file;
  });
  output.result('received', `File downloaded: ${received.path}`, {
    path: received.path,
    size: received.size,
  });
  if (!isLink(from)) await offerDeletion(from, options.yes, output);
}

/** Asks whether to delete a description that is used up, and deletes it. Without an answer it stays. */
export async function offerDeletion(path: string, yes: boolean, output: Output): Promise<void> {
  const question = `\nFile description ${path} can't be used again. Delete it (Y/n): `;
  if (!yes && !(await confirm(question))) return;
  await unlink(path);
  output.result('descriptionDeleted', `${yes ? '\n' : ''}File description ${path} is deleted.`, { path });
}

async function chooseDestination(to: string | undefined): Promise<Destination> {
  if (to === undefined) {
    const folder = join(homedir(), 'Downloads');
    await ensureFolder(folder);
    return { folder };
  }
  const path = resolve(to);
  const stats = await stat(path).catch(() => undefined);
  return stats?.isDirectory() === true ? { folder: path } : { path };
}
