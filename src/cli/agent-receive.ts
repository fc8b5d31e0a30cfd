import { resolve } from 'node:path';

import { type Command, Option } from 'commander';

import type { OnConflict, ReceiveParams } from '../agent/index.js';
import { XftpError } from '../protocol/index.js';
import {
  agentCommand,
  type AgentSession,
  type CommandTools,
  type CommonOptions,
  withAgent,
} from './agent-command.js';
import { requireCompleted, waitForEnd } from './agent-follow.js';
import { addSubmitOptions, reportAdded, type SubmitOptions, submitParams } from './agent-send.js';
import { isLink, readDescriptionText } from './description-input.js';
import { safeText } from './display-text.js';
import type { Output } from './output.js';
import { formatFields } from './table.js';
import { humanCount, humanSize } from '../protocol/index.js';

interface ReceiveOptions extends SubmitOptions {
  readonly onConflict?: OnConflict;
  readonly approve?: 'known' | 'all' | 'ask';
  readonly ack?: boolean;
}

/** `xftp-agent receive` and `xftp-agent inspect`. */
export function addReceiveCommands(program: Command, tools: CommandTools): void {
  const command = agentCommand(program, 'receive', 'receive a file in the background')
    .alias('recv')
    .argument('<FROM>', 'file description, or link (https:… or simplex:…)')
    .argument('[DIR]', "existing folder to save to (default: the agent's folder for downloads)")
    .option('--name <NAME>', "name of the file instead of the sender's")
    .addOption(
      new Option('--on-conflict <WHAT>', 'when the name is taken (default: rename)').choices([
        'rename',
        'overwrite',
        'fail',
      ]),
    )
    .addOption(
      new Option(
        '--approve <WHICH>',
        'what to do about relays that are not in the server list, which would see your address: known: refuse them; ' +
          'all: use them; ask: wait for `xftp-agent approve` (default: the setting approveRelays)',
      ).choices(['known', 'all', 'ask']),
    )
    .option('--ack', 'tell the relays when the file is there, which ends the use of the description');
  addSubmitOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  xftp-agent receive "https://relay.example/file#…" --wait
  xftp-agent receive rcv1.xftp . --name cat.jpg
  xftp-agent receive rcv1.xftp --approve ask   then: xftp-agent approve ID`,
    )
    .action(async (from: string, folder: string | undefined, options: ReceiveOptions) => {
      const source = await sourceOf(from);
      await withAgent(tools, options, (session) => runReceive(session, source, folder, options));
    });

  agentCommand(program, 'inspect', 'show what a description or link says, without asking any relay')
    .argument('<FROM>', 'file description, or link (https:… or simplex:…)')
    .action(async (from: string, options: CommonOptions) => {
      const source = await sourceOf(from);
      await withAgent(tools, options, ({ agent, output }) => runInspect(agent, output, source));
    });
}

type DescriptionSource = Pick<ReceiveParams, 'link' | 'description'>;

async function runReceive(
  session: AgentSession,
  source: DescriptionSource,
  folder: string | undefined,
  options: ReceiveOptions,
): Promise<void> {
  const { agent, output } = session;
  const { onConflict, approve, ack = false, wait = false } = options;
  if (folder === '') throw new XftpError('INVALID_ARGUMENT', 'The folder to save to has no name.');
  const transfer = await agent.transfers.receive({
    ...source,
    ...(folder !== undefined && { directory: resolve(folder) }),
    ...(onConflict !== undefined && { onConflict }),
    ...(approve !== undefined && { approveRelays: approve }),
    acknowledge: ack,
    ...submitParams(options),
  });
  reportAdded(output, transfer, wait);
  if (!wait) return;
  const ended = await waitForEnd(session, transfer.id);
  requireCompleted(ended);
  const { path = '', fileSize } = ended;
  output.result('received', `File downloaded: ${safeText(path)}`, { id: ended.id, path, size: fileSize });
}

/** Read before there is a connection to the agent: a signal just ends a program that waits for a pipe. */
async function sourceOf(from: string): Promise<DescriptionSource> {
  return isLink(from) ? { link: from } : { description: await readDescriptionText(from) };
}

async function runInspect(
  agent: AgentSession['agent'],
  output: Output,
  source: DescriptionSource,
): Promise<void> {
  const result = await agent.transfers.inspect(source);
  const { party, encryptedSize, chunks, servers, redirect } = result;
  const lines = formatFields([
    ['Description of', party === 'sender' ? 'the sender' : 'a recipient'],
    ['Encrypted size', `${humanSize(encryptedSize)} in ${humanCount(chunks, 'chunk')}`],
    ['Leads to a file of', redirect && humanSize(redirect.encryptedSize)],
    ...servers.map(
      ({ address, bytes, known }) =>
        [
          'Relay',
          `${address}, ${humanSize(bytes)}, ${known ? 'in the server list' : 'not in the server list'}`,
        ] as const,
    ),
  ]);
  output.result('description', lines.join('\n'), { ...result });
}
