import { type Command, InvalidArgumentError, Option } from 'commander';

import type { Direction, TransferInfo, TransferState } from '../agent/index.js';
import { isXftpError, parseSizeText, type XftpError } from '../protocol/index.js';
import { type CommandTools, type CommonOptions, agentCommand, withAgent } from './agent-command.js';
import { newestTransfers } from './agent-pages.js';
import type { AgentClient } from '../sdk/index.js';
import { findTransfer } from './agent-transfer-id.js';
import { wholeNumber } from './number-argument.js';
import type { Output } from './output.js';
import { formatFields, formatTable, outputWidth } from './table.js';
import {
  nameOf,
  shownIdLength,
  stateText,
  TRANSFER_COLUMNS,
  TRANSFER_STATES,
  transferFields,
  transferRow,
} from './transfer-text.js';
import { safeText } from './display-text.js';

/** Transfers that `list` shows unless told: a screenful or two. */
const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 1_000_000;

interface ListOptions extends CommonOptions {
  readonly state?: TransferState;
  readonly direction?: Direction;
  readonly limit: number;
  readonly all?: boolean;
}

/** Commands that show transfers and steer them. */
export function addTransferCommands(program: Command, tools: CommandTools): void {
  agentCommand(program, 'list', 'show transfers, newest first')
    .alias('ls')
    .addOption(new Option('--state <STATE>', 'only transfers in this state').choices(TRANSFER_STATES))
    .addOption(new Option('--direction <WAY>', 'only this way').choices(['send', 'receive']))
    .option('--limit <COUNT>', 'how many at most', wholeNumber(1, MAX_LIMIT), DEFAULT_LIMIT)
    .option('--all', 'all of them, however many')
    .action((options: ListOptions) =>
      withAgent(tools, options, ({ agent, output }) => listTransfers(agent, output, options)),
    );

  agentCommand(program, 'show', 'show all that is known about a transfer')
    .argument('<ID>', 'ID of the transfer, or its beginning')
    .action((id: string, options: CommonOptions) =>
      withAgent(tools, options, async ({ agent, output }) => {
        showTransfer(output, await findTransfer(agent, id));
      }),
    );

  for (const [name, description] of STEERING)
    agentCommand(program, name, description)
      .argument('<ID...>', 'IDs of transfers, or their beginnings')
      .action((ids: string[], options: CommonOptions) =>
        withAgent(tools, options, ({ agent, output }) =>
          steer(agent, output, ids, (id) => agent.call(`transfers.${name}`, { id })),
        ),
      );

  agentCommand(program, 'remove', 'forget finished transfers; received files stay')
    .alias('rm')
    .argument('<ID...>', 'IDs of transfers, or their beginnings')
    .option('--cancel', 'cancel those that are under way first')
    .action((ids: string[], options: CommonOptions & { readonly cancel?: boolean }) =>
      withAgent(tools, options, ({ agent, output }) =>
        steer(agent, output, ids, async (id) => {
          await agent.call('transfers.remove', { id, cancel: options.cancel ?? false });
          return undefined;
        }),
      ),
    );

  agentCommand(program, 'priority', 'change how soon a transfer gets its turn')
    .argument('<ID>', 'ID of the transfer, or its beginning')
    .argument('<N>', 'from -10 to 10; higher goes first', priorityOf)
    .action((id: string, priority: number, options: CommonOptions) =>
      withAgent(tools, options, ({ agent, output }) =>
        steer(agent, output, [id], (each) => agent.call('transfers.setPriority', { id: each, priority })),
      ),
    );
  addLimitCommand(program, tools);
}

/** `xftp-agent limit`. */
function addLimitCommand(program: Command, tools: CommandTools): void {
  agentCommand(program, 'limit', 'hold a transfer to a rate of its own, at once')
    .argument('<ID>', 'ID of the transfer, or its beginning')
    .argument('<RATE>', 'bytes per second, such as 200kb or 2mb; none for no limit', rateOf)
    .action((id: string, bytesPerSecond: number | null, options: CommonOptions) =>
      withAgent(tools, options, ({ agent, output }) =>
        steer(agent, output, [id], (each) => agent.call('transfers.setLimit', { id: each, bytesPerSecond })),
      ),
    );
}

/** Reads bytes per second; null for `none`. */
export function rateOf(text: string): number | null {
  if (text === 'none') return null;
  try {
    const rate = parseSizeText(text.toLowerCase().replace(/\/s$/, ''));
    if (rate > 0) return rate;
  } catch {
    // Told below.
  }
  throw new InvalidArgumentError('Give bytes per second, such as 200kb or 2mb, or none.');
}

/** Commands that take one ID after the other and do one thing with each. */
const STEERING = [
  ['pause', 'pause transfers; what is done stays done'],
  ['resume', 'go on with paused transfers'],
  ['cancel', 'end transfers'],
  ['retry', 'start failed or cancelled transfers anew, with what is done already'],
  ['approve', 'let receives use relays that are not in the server list'],
] as const;

/** Reads a priority. */
export function priorityOf(text: string): number {
  const priority = Number(text);
  if (!/^[+-]?\d{1,2}$/.test(text) || Math.abs(priority) > 10)
    throw new InvalidArgumentError('Give a whole number from -10 to 10.');
  return priority;
}

async function listTransfers(agent: AgentClient, output: Output, options: ListOptions): Promise<void> {
  const { state, direction, limit, all = false } = options;
  const filter = { ...(state && { state }), ...(direction && { direction }) };
  const { transfers, more } = await newestTransfers(agent, filter, all ? Infinity : limit);
  const now = Date.now();
  const idLength = shownIdLength(transfers.map(({ id }) => id));
  const rows = transfers.map((transfer) => transferRow(transfer, idLength, now));
  const lines = rows.length === 0 ? ['No transfers.'] : formatTable(TRANSFER_COLUMNS, rows, outputWidth());
  if (more) lines.push(`(There are more: --all shows them.)`);
  output.results('transfer', lines, transfers);
}

/** Shows a transfer. */
export function showTransfer(output: Output, transfer: TransferInfo): void {
  output.result('transfer', formatFields(transferFields(transfer, Date.now())).join('\n'), { ...transfer });
}

/** Does one thing with several transfers. What one of them refuses does not keep the others from it. */
async function steer(
  agent: AgentClient,
  output: Output,
  ids: readonly string[],
  step: (id: string) => Promise<TransferInfo | undefined>,
): Promise<void> {
  // All of them are looked up first: a mistyped one stops everything.
  const transfers = await Promise.all(ids.map((id) => findTransfer(agent, id)));
  const failures: XftpError[] = [];
  for (const transfer of transfers)
    try {
      report(output, transfer, await step(transfer.id));
    } catch (error) {
      if (!isXftpError(error)) throw error;
      failures.push(error);
    }
  const last = failures.pop();
  for (const failure of failures) output.warn(failure.message);
  if (last !== undefined) throw last;
}

function report(output: Output, before: TransferInfo, after: TransferInfo | undefined): void {
  const known = safeText(nameOf(before));
  const name = known.startsWith('(') ? known : `(${known})`;
  if (after === undefined) output.result('removed', `${before.id}  removed ${name}`, { id: before.id });
  else {
    const text = `${after.id}  ${stateText(after)}, priority ${String(after.priority)} ${name}`;
    output.result('transfer', text, { ...after });
  }
}
