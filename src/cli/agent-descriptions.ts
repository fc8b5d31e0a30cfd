import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Command } from 'commander';

import type { DescriptionsResult } from '../agent/index.js';
import { humanCount, isXftpError, MAX_RECIPIENTS, XftpError } from '../protocol/index.js';
import { ensureFolder } from '../transfer/index.js';
import { agentCommand, type CommandTools, type CommonOptions, withAgent } from './agent-command.js';
import { findTransfer } from './agent-transfer-id.js';
import { readDescriptionText } from './description-input.js';
import { wholeNumber } from './number-argument.js';
import type { Output } from './output.js';
import { writePrivateFile } from './private-file.js';
import { qrLines } from './qr-code.js';

/** A `simplex:` link longer than this, in characters, is of no use to anyone; the description file is. */
const MAX_SHOWN_LINK = 8192;

interface OutOptions extends CommonOptions {
  readonly out?: string;
  readonly qr?: boolean;
}

/** Commands about what a sender hands out. */
export function addDescriptionCommands(program: Command, tools: CommandTools): void {
  withOutOptions(agentCommand(program, 'descriptions', 'links and descriptions of a completed send'))
    .argument('<ID>', 'ID of the transfer, or its beginning')
    .action((id: string, options: OutOptions) =>
      withAgent(tools, options, async ({ agent, output }) => {
        const transfer = await findTransfer(agent, id);
        await handOut(output, transfer.id, await agent.transfers.descriptions({ id: transfer.id }), options);
      }),
    );

  withOutOptions(
    agentCommand(program, 'recipients', 'hand out descriptions for more recipients of a sent file'),
  )
    .argument('<ID>', 'ID of the transfer, or its beginning')
    .argument('<COUNT>', 'how many more', wholeNumber(1, MAX_RECIPIENTS))
    .action((id: string, count: number, options: OutOptions) =>
      withAgent(tools, options, async ({ agent, output }) => {
        const transfer = await findTransfer(agent, id);
        const all = await agent.transfers.addRecipients({ id: transfer.id, count });
        // The agent tells of all; those before have theirs.
        const recipients = all.recipients.slice(-count);
        await handOut(output, transfer.id, { ...all, recipients }, options);
      }),
    );

  agentCommand(program, 'revoke', 'delete a sent file from its relays')
    .argument('[ID]', 'ID of the transfer, or its beginning')
    .option('--description <FILE>', "instead: the sender's description (snd.xftp.private)")
    .action(async (id: string | undefined, options: CommonOptions & { readonly description?: string }) => {
      const { description } = options;
      if ((id === undefined) === (description === undefined))
        throw new XftpError('INVALID_ARGUMENT', 'Give either the ID of a transfer or --description FILE.');
      const senderDescription =
        description === undefined ? undefined : await readDescriptionText(description);
      await withAgent(tools, options, async ({ agent, output }) => {
        const target =
          senderDescription === undefined
            ? { id: (await findTransfer(agent, id ?? '')).id }
            : { senderDescription };
        const { deletions } = await agent.transfers.revoke(target);
        const text =
          deletions === 0
            ? 'There is nothing left to delete on the relays.'
            : `${humanCount(deletions, 'chunk')} will be deleted from the relays in the background.`;
        output.result('revoked', text, { ...('id' in target ? target : {}), deletions });
      });
    });
}

function withOutOptions(command: Command): Command {
  return command
    .option('--out <DIR>', 'write descriptions to this folder instead: rcv1.xftp, …, snd.xftp.private')
    .option('--qr', 'show links as QR codes if they are short enough');
}

async function handOut(
  output: Output,
  id: string,
  result: DescriptionsResult,
  options: OutOptions,
): Promise<void> {
  if (options.out === undefined) showDescriptions(output, id, result, { qr: options.qr ?? false });
  else await writeDescriptions(output, result, options.out);
}

/** Prints the links of these recipients of a send. */
export function showDescriptions(
  output: Output,
  id: string,
  { recipients, spare }: DescriptionsResult,
  { qr }: { readonly qr: boolean },
): void {
  const lines = recipients.flatMap(({ number, link, webLink, fitsQrCode }) => [
    `Recipient ${String(number)}:`,
    `  ${webLink}`,
    ...(link.length <= MAX_SHOWN_LINK ? [`  ${link}`] : []),
    ...(qr ? qrLines(link, fitsQrCode) : []),
  ]);
  if (spare > 0) {
    const more = spare === 1 ? '1 more is ready' : `${String(spare)} more are ready`;
    lines.push(`(${more}: \`xftp-agent recipients ${id} ${spare === 1 ? '1' : 'COUNT'}\`)`);
  }
  output.results(
    'recipient',
    lines,
    recipients.map(({ number, link, webLink, redirect }) => ({ number, link, webLink, redirect })),
  );
}

async function writeDescriptions(output: Output, result: DescriptionsResult, folder: string): Promise<void> {
  if (folder === '') throw new XftpError('INVALID_ARGUMENT', 'The folder for the descriptions has no name.');
  await ensureFolder(folder);
  const senderPath = join(folder, 'snd.xftp.private');
  const recipientPaths: string[] = [];
  await writeOnce(senderPath, result.sender);
  for (const { number, description } of result.recipients) {
    const path = join(folder, `rcv${String(number)}.xftp`);
    await writeOnce(path, description);
    recipientPaths.push(path);
  }
  const lines = [
    `Sender file description: ${senderPath}`,
    'Pass file descriptions to the recipient(s):',
    ...recipientPaths,
  ];
  output.result('descriptions', lines.join('\n'), {
    senderDescription: senderPath,
    recipientDescriptions: recipientPaths,
  });
}

/** Writes a new file; one that is there already is right if it says the same. */
async function writeOnce(path: string, text: string): Promise<void> {
  try {
    await writePrivateFile(path, text);
  } catch (error) {
    if (!isXftpError(error, 'FILE_EXISTS')) throw error;
    if ((await readFile(path, 'utf8').catch(() => '')) !== text) throw error;
  }
}
