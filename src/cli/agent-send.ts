import { basename, resolve } from 'node:path';

import { type Command, InvalidArgumentError, Option } from 'commander';

import type { Isolation, RedirectPolicy, SendParams, TransferInfo } from '../agent/index.js';
import { formatServerAddress, MAX_RECIPIENTS, parseServerList, XftpError } from '../protocol/index.js';
import { MAX_REPLICAS } from '../transfer/index.js';
import {
  agentCommand,
  type AgentSession,
  type CommandTools,
  type CommonOptions,
  withAgent,
} from './agent-command.js';
import { showDescriptions } from './agent-descriptions.js';
import { requireCompleted, waitForEnd } from './agent-follow.js';
import { priorityOf, rateOf } from './agent-transfers.js';
import { safeText } from './display-text.js';
import { wholeNumber } from './number-argument.js';
import type { Output } from './output.js';
import { parseDuration } from './time-text.js';
import { nameOf } from './transfer-text.js';

/** After so many ms without an answer it is told why: small files are copied before. */
const COPYING_MS = 1000;

/** Options that sending and receiving have in common. */
export interface SubmitOptions extends CommonOptions {
  readonly name?: string;
  readonly priority?: number;
  /** Milliseconds from now. */
  readonly deadline?: number;
  /** Bytes per second; null for none. */
  readonly limit?: number | null;
  readonly isolation?: Isolation;
  readonly ref?: string;
  readonly wait?: boolean;
}

interface SendOptions extends SubmitOptions {
  readonly count?: number;
  readonly servers?: string;
  readonly replicas?: number;
  readonly replicasRequired?: number;
  /** False with `--no-snapshot`. */
  readonly snapshot: boolean;
  readonly redirect?: RedirectPolicy;
  readonly qr?: boolean;
}

/** `xftp-agent send`. */
export function addSendCommand(program: Command, tools: CommandTools): void {
  const command = agentCommand(program, 'send', 'send a file in the background')
    .argument('<FILE>', 'file to send')
    .option('-n, --count <COUNT>', 'number of recipients (default: 1)', wholeNumber(1, MAX_RECIPIENTS))
    .addOption(
      // Not parsed here: a message about an option repeats its value, and addresses may hold a password.
      new Option('-s, --servers <SERVERS>', 'relays, separated by ; (default: the enabled servers)'),
    )
    .option(
      '--replicas <COUNT>',
      'put each part on so many relays, so that it can be received when one of them is gone (default: the setting replicas)',
      wholeNumber(1, MAX_REPLICAS),
    )
    .option(
      '--replicas-required <COUNT>',
      'hand it out when each part is on so many relays; the other copies follow (default: all of them)',
      wholeNumber(1, MAX_REPLICAS),
    )
    .option('--name <NAME>', 'name of the file for the recipients')
    .option('--no-snapshot', 'read the file itself instead of a copy: it must not change until it is sent')
    .addOption(
      new Option(
        '--redirect <WHEN>',
        'give out a short link to the description on a relay (default: auto: when a link would not fit a QR code)',
      ).choices(['auto', 'never', 'always']),
    );
  addSubmitOptions(command)
    .option('--qr', 'with --wait: show the link as a QR code if it is short enough')
    .addHelpText(
      'after',
      `
Examples:
  xftp-agent send photo.jpg --wait          wait, then print the links
  xftp-agent send photo.jpg -n 3            for three recipients; prints the ID
  xftp-agent send film.mkv --replicas 2     each part on two relays: one of them may fail
  xftp-agent descriptions ID --out .        their descriptions, when it is done`,
    )
    .action((file: string, options: SendOptions) =>
      withAgent(tools, options, (session) => runSend(session, file, options)),
    );
}

/** Options that `send` and `receive` have in common. */
export function addSubmitOptions(command: Command): Command {
  return command
    .option('--priority <N>', 'from -10 to 10; higher goes first (default: 0)', priorityOf)
    .option(
      '--deadline <DURATION>',
      'give up after this time, such as 90m or 2d (default: the setting deadlineHours)',
      durationOf,
    )
    .option('--limit <RATE>', 'bytes per second for it alone, such as 200kb', rateOf)
    .addOption(
      new Option(
        '--isolation <LEVEL>',
        'what may share connections, and with Tor circuits, with it, if that is less than the setting says',
      ).choices(['server', 'transfer', 'chunk']),
    )
    .option('--ref <REF>', 'your own name for it; there is never more than one transfer with it')
    .option('--wait', 'wait for its end and show progress; Ctrl-C only ends the waiting');
}

/** Their values as the agent takes them. */
export function submitParams(
  options: SubmitOptions,
): Pick<SendParams, 'fileName' | 'priority' | 'deadline' | 'limit' | 'isolation' | 'clientRef'> {
  const { name, priority, deadline, limit, isolation, ref } = options;
  return {
    ...(name !== undefined && { fileName: name }),
    ...(priority !== undefined && { priority }),
    ...(deadline !== undefined && { deadline: Date.now() + deadline }),
    ...(typeof limit === 'number' && { limit }),
    ...(isolation !== undefined && { isolation }),
    ...(ref !== undefined && { clientRef: ref }),
  };
}

/** Tells of a transfer that was added. */
export function reportAdded(output: Output, transfer: TransferInfo, wait: boolean): void {
  const { id, direction, state } = transfer;
  const sends = direction === 'send';
  const name = safeText(nameOf(transfer));
  // With the name of an earlier one it is that one, which may be over.
  const { text, more } =
    state === 'completed'
      ? {
          text: `${sends ? 'Sent' : 'Received'} already: ${name}, ${id}`,
          more: sends
            ? `\`xftp-agent descriptions ${id}\` shows its links.`
            : `\`xftp-agent show ${id}\` tells where it is.`,
        }
      : state === 'failed' || state === 'cancelled'
        ? {
            text: `The transfer of ${name} has ${state === 'failed' ? 'failed' : 'been cancelled'}: ${id}`,
            more: `\`xftp-agent retry ${id}\` starts it anew.`,
          }
        : {
            text: `${sends ? 'Sending' : 'Receiving'} ${name}: ${id}`,
            more: `\`xftp-agent watch ${id}\` shows how it goes.`,
          };
  output.result('added', wait ? text : `${text}\n${more}`, { ...transfer });
}

async function runSend(session: AgentSession, file: string, options: SendOptions): Promise<void> {
  const { agent, output } = session;
  const {
    count,
    servers,
    replicas,
    replicasRequired,
    snapshot,
    redirect,
    wait = false,
    qr = false,
  } = options;
  if (file === '') throw new XftpError('INVALID_ARGUMENT', 'The file to send has no name.');
  const adding = agent.transfers.send({
    path: resolve(file),
    snapshot,
    ...(count !== undefined && { recipients: count }),
    ...(servers !== undefined && { servers: serversOf(servers) }),
    ...(replicas !== undefined && { replicas }),
    ...(replicasRequired !== undefined && { replicasRequired }),
    ...(redirect !== undefined && { redirect }),
    ...submitParams(options),
  });
  const transfer = await whileCopying(adding, session, file);
  reportAdded(output, transfer, wait);
  if (!wait) return;
  requireCompleted(await waitForEnd(session, transfer.id));
  showDescriptions(output, transfer.id, await agent.transfers.descriptions({ id: transfer.id }), { qr });
}

/** The agent answers when it has its copy of the file: whoever waits is told, and whoever does not want to, too. */
async function whileCopying<T>(
  adding: Promise<T>,
  { output, signal }: AgentSession,
  file: string,
): Promise<T> {
  const name = safeText(basename(file));
  const timer = setTimeout(() => {
    output.note('copying', `Copying ${name}, so that it may change from then on …`, { file });
  }, COPYING_MS);
  try {
    return await adding;
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new XftpError(
      'CANCELLED',
      `The agent may be copying ${name} still, and then sends it: \`xftp-agent list\` shows whether it does.`,
      { cause: error },
    );
  } finally {
    clearTimeout(timer);
  }
}

function serversOf(text: string): string[] {
  const servers = parseServerList(text);
  if (servers.length === 0) throw new XftpError('INVALID_ADDRESS', 'Name at least one relay after -s.');
  return servers.map((server) => formatServerAddress(server, { withPassword: true }));
}

function durationOf(text: string): number {
  try {
    return parseDuration(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof XftpError ? error.message : '');
  }
}
