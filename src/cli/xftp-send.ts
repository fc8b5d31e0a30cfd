import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';

import {
  fitFileName,
  formatDescription,
  formatDescriptionUri,
  type FileDescription,
  humanSize,
  QR_LINK_LIMIT,
  type ServerAddress,
  webLinkOf,
  XftpError,
} from '../protocol/index.js';
import {
  discardFile,
  localFailure,
  makeUniqueFolder,
  type ReplicaCounts,
  sendFile,
  type SentFile,
} from '../transfer/index.js';
import type { ProxyRoute } from '../transport/index.js';
import { describeParts } from './description-input.js';
import { cleaningUpAtExit } from './interruption.js';
import type { Output } from './output.js';
import { writePrivateFile } from './private-file.js';
import { qrLines } from './qr-code.js';
import { type TransferSession, withTransferSession } from './transfer-session.js';

/** Official apps refuse larger files, in bytes (protocol reference, section 12.3). */
const OFFICIAL_SIZE_LIMIT = 1024 ** 3;
/** A `simplex:` link longer than this, in characters, is of no use to anyone; the description file is. */
const MAX_SHOWN_LINK = 8192;

/** Options of `xftp send`. */
export interface SendOptions {
  readonly file: string;
  /** Folder for the descriptions. */
  readonly folder: string;
  readonly recipients: number;
  readonly servers: readonly ServerAddress[];
  readonly attempts: number;
  /** Bytes. */
  readonly maxSize: number;
  readonly qr: boolean;
  readonly replicas: ReplicaCounts;
  /** The way to relays when there is a proxy. */
  readonly route?: ProxyRoute;
}

/** `xftp send`: uploads a file and writes its descriptions. */
export async function runSend(options: SendOptions, output: Output): Promise<void> {
  if (options.file === '') throw new XftpError('INVALID_ARGUMENT', 'The file to send has no name.');
  const name = fitFileName(basename(options.file));
  await warnAboutSize(options, output);
  if (options.folder === '')
    throw new XftpError('INVALID_ARGUMENT', 'The folder for the descriptions has no name.');
  const sent = await withTransferSession({ ...options, output }, async (session) => {
    const folder = await makeUniqueFolder(options.folder, fitFileName(`${name}.xftp`));
    return cleaningUpAtExit(folder.removeNow, () =>
      upload({ ...options, name, folder: folder.path }, session, output).catch(async (error: unknown) => {
        // The reason for the failure is worth more than that of a folder that stays.
        await folder.remove().catch(() => undefined);
        throw error;
      }),
    );
  });
  report(options, output, sent);
}

/** A file on its relays, with the descriptions that were written for it. */
interface DescribedFile {
  readonly senderPath: string;
  readonly recipientPaths: readonly string[];
  readonly first: FileDescription | undefined;
}

async function upload(
  options: SendOptions & { readonly name: string },
  { context }: TransferSession,
  output: Output,
): Promise<DescribedFile> {
  const sent = await sendFile({ ...options, source: options.file }, context('Uploading'));
  output.detail(describeParts(sent.sender));
  try {
    return await writeDescriptions(options.folder, sent);
  } catch (error) {
    // Without descriptions nobody can ever use or delete the chunks.
    await discardFile(sent.sender, context());
    throw error;
  }
}

async function writeDescriptions(folder: string, sent: SentFile): Promise<DescribedFile> {
  const senderPath = join(folder, 'snd.xftp.private');
  const recipientPaths = sent.recipients.map((_, index) => join(folder, `rcv${String(index + 1)}.xftp`));
  await writePrivateFile(senderPath, formatDescription(sent.sender));
  for (const [index, description] of sent.recipients.entries())
    await writePrivateFile(recipientPaths[index] ?? '', formatDescription(description));
  return { senderPath, recipientPaths, first: sent.recipients[0] };
}

async function warnAboutSize({ file, maxSize }: SendOptions, output: Output): Promise<void> {
  const { size } = await stat(file).catch((error: unknown) => {
    throw localFailure(error, file);
  });
  // A file that is too large will be refused, and its size told then.
  if (size <= maxSize && size > OFFICIAL_SIZE_LIMIT)
    output.warn(`The file has ${humanSize(size)}; official SimpleX apps refuse to receive more than 1 GiB.`);
}

function report(
  { qr }: SendOptions,
  output: Output,
  { senderPath, recipientPaths, first }: DescribedFile,
): void {
  const lines = [
    'File uploaded!',
    `Sender file description: ${senderPath}`,
    'Pass file descriptions to the recipient(s):',
    ...recipientPaths,
  ];
  const links =
    first === undefined ? undefined : { web: webLinkOf(first), simplex: formatDescriptionUri(first) };
  if (links !== undefined) {
    // What scripts for the reference read comes first, and as there.
    lines.push('', 'Web link:', links.web);
    if (links.simplex.length <= MAX_SHOWN_LINK) lines.push('', 'SimpleX link:', links.simplex);
    if (recipientPaths.length > 1)
      lines.push('', 'The links are those of recipient 1 (rcv1.xftp); pass them to nobody else.');
    if (qr) lines.push('', ...qrLines(links.simplex, links.simplex.length <= QR_LINK_LIMIT));
  }
  output.result('sent', lines.join('\n'), {
    senderDescription: senderPath,
    recipientDescriptions: recipientPaths,
    webLink: links?.web,
    simplexLink: links?.simplex,
  });
}
