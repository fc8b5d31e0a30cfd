import { lstat, stat, unlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { type FileDescription, isXftpError, XftpError } from '../protocol/index.js';
import {
  acknowledgeFile,
  type Destination,
  ensureFolder,
  followRedirect,
  localFailure,
  PartFile,
  receiveFile,
  type TransferContext,
} from '../transfer/index.js';
import type { ProxyRoute } from '../transport/index.js';
import { describeParts, isLink, readDescription } from './description-input.js';
import { homeFolder } from './home-folder.js';
import { cleaningUpAtExit } from './interruption.js';
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
  /** The way to relays when there is a proxy. */
  readonly route?: ProxyRoute;
}

/** `xftp recv`: downloads a file, tells the relays, and offers to delete the description. */
export async function runReceive(options: ReceiveOptions, output: Output): Promise<void> {
  const { from } = options;
  const description = await readDescription(from);
  const destination = await chooseDestination(options.to);
  output.detail(describeParts(description));
  const stopped = await withTransferSession({ ...options, output }, async ({ context }) => {
    const used: FileDescription[] = [description];
    let actual = description;
    if (description.redirect !== undefined) {
      actual = await followRedirect(description, context('Following the link'));
      used.push(actual);
    }
    const part = new PartFile(destination);
    const file = await cleaningUpAtExit(part.discardNow, () =>
      receiveFile({ description: actual, destination: part }, context('Downloading')),
    );
    output.result('received', `File downloaded: ${file.path}`, { path: file.path, size: file.size });
    // Only now: a download that fails half-way can be repeated with the same description.
    return (await acknowledge(used, context())) === 'stopped';
  });
  if (stopped)
    output.warn('The file is complete, but not all relays were told so: its chunks expire by themselves.');
  else if (!isLink(from)) await offerDeletion(from, options.yes, output);
}

/** Tells the relays that the file is there. Who stops that has the file all the same. */
async function acknowledge(
  used: readonly FileDescription[],
  context: TransferContext,
): Promise<'done' | 'stopped'> {
  try {
    for (const each of used) await acknowledgeFile(each, context);
    return 'done';
  } catch (error) {
    if (!isXftpError(error, 'CANCELLED')) throw error;
    return 'stopped';
  }
}

/**
 * Asks whether to delete a description that is used up, and deletes it. Without an answer it stays. That it cannot be
 * deleted is a warning: what the description was for is done.
 */
export async function offerDeletion(path: string, yes: boolean, output: Output): Promise<void> {
  // What a pipe or a process brought is gone anyway, and a link (/dev/stdin is one) is not the description.
  const found = await lstat(path).catch(() => undefined);
  if (found?.isFile() !== true) return;
  const question = `File description ${path} can't be used again. Delete it (Y/n): `;
  if (!yes && !(output.asks && (await confirm(question)))) return;
  try {
    await unlink(path);
  } catch (error) {
    const { code, message } = localFailure(error, path);
    // Deleted by somebody else meanwhile.
    if (code === 'SOURCE_MISSING') return;
    output.warn(`The used file description could not be deleted. ${message}`);
    return;
  }
  output.result('descriptionDeleted', `File description ${path} is deleted.`, { path });
}

async function chooseDestination(to: string | undefined): Promise<Destination> {
  if (to === undefined) {
    const folder = join(homeFolder('name a folder to download into'), 'Downloads');
    await ensureFolder(folder);
    return { folder };
  }
  if (to === '') throw new XftpError('INVALID_ARGUMENT', 'The folder to download into has no name.');
  const path = resolve(to);
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isDirectory() === true) return { folder: path };
  if (/[/\\]$/.test(to))
    throw new XftpError('SOURCE_MISSING', `The folder ${to} does not exist: make it first.`);
  return { path };
}
