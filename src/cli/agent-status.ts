import { setTimeout as delay } from 'node:timers/promises';

import type { Command } from 'commander';

import type { AgentInfo, ServerStats } from '../agent/index.js';
import { humanSize, XftpError } from '../protocol/index.js';
import { findAgent } from '../sdk/index.js';
import {
  agentCommand,
  type AgentPlace,
  type CommandTools,
  type CommonOptions,
  placeOf,
  withAgent,
} from './agent-command.js';
import { isProcessRunning } from './agent-process.js';
import type { Output } from './output.js';
import { formatFields, formatTable, outputWidth } from './table.js';
import { elapsed, relativeTime } from './time-text.js';
import { stateText, TRANSFER_STATES } from './transfer-text.js';

/** How long `stop` waits for the agent's end: it ends within 5 s, or is killed by whoever supervises it. */
const STOP_WAIT_MS = 10_000;
const STOP_POLL_MS = 50;

/** Commands about the agent as a whole. */
export function addStatusCommands(program: Command, tools: CommandTools): void {
  agentCommand(program, 'status', 'show what the agent is and does').action((options: CommonOptions) =>
    withAgent(tools, options, async ({ agent, output }) => {
      const info = await agent.agent.info();
      const address = await addressOf(placeOf(options));
      const { servers } = await agent.servers.list();
      const counts = { all: servers.length, enabled: servers.filter(({ enabled }) => enabled).length };
      const fields = statusFields(info, { address, servers: counts, now: Date.now() });
      output.result('status', formatFields(fields).join('\n'), { ...info, address, servers: counts });
    }),
  );

  agentCommand(program, 'stats', 'show what was measured about each relay').action((options: CommonOptions) =>
    withAgent(tools, options, async ({ agent, output }) => {
      showStats(output, (await agent.stats.get()).servers);
    }),
  );

  agentCommand(program, 'stop', 'stop the agent; transfers go on when it starts again').action(
    (options: CommonOptions) =>
      withAgent(tools, options, async ({ agent, output, signal }) => {
        const { pid } = await agent.agent.info();
        await agent.agent.shutdown();
        // Only an agent in a data folder is on this machine for sure.
        if ('dataDir' in placeOf(options)) await untilGone(pid, signal);
        output.result('stopped', 'The agent has stopped.', { pid });
      }),
  );
}

async function untilGone(pid: number, signal: AbortSignal): Promise<void> {
  for (let waited = 0; isProcessRunning(pid); waited += STOP_POLL_MS) {
    if (waited >= STOP_WAIT_MS)
      throw new XftpError(
        'STALLED',
        `The agent (process ${String(pid)}) was told to stop but is still there.`,
      );
    if (signal.aborted) throw new XftpError('CANCELLED', 'The agent was told to stop.');
    await delay(STOP_POLL_MS);
  }
}

/** Where the agent listens, as `--url` takes it. */
async function addressOf(place: AgentPlace): Promise<string> {
  if ('address' in place) return place.address;
  const { url, socketPath = '' } = await findAgent(place.dataDir);
  return url ?? `unix:${socketPath}`;
}

/** What `status` tells beyond what the agent says of itself. */
interface StatusContext {
  readonly address: string;
  readonly servers: { readonly all: number; readonly enabled: number };
  readonly now: number;
}

function statusFields(
  info: AgentInfo,
  { address, servers, now }: StatusContext,
): (readonly [string, string | undefined])[] {
  const { network, transfers, relayTasks, events } = info;
  const counts = TRANSFER_STATES.filter((state) => transfers[state] > 0).map(
    (state) => `${String(transfers[state])} ${stateText({ state })}`,
  );
  return [
    ['Version', info.version],
    ['Running', `for ${elapsed(now - info.startedAt)} (process ${String(info.pid)})`],
    ['Address', address],
    ['Data folder', `${info.dataDir} (schema ${String(info.schemaVersion)})`],
    ['Downloads', info.downloadsDir],
    ['Network', `${network.online ? 'online' : 'offline'}${network.metered ? ', metered' : ''}`],
    ['Transfers', counts.length === 0 ? 'none' : counts.join(', ')],
    ['Servers', `${String(servers.enabled)} enabled of ${String(servers.all)}`],
    ['Relays', relayTasks === 0 ? undefined : `${String(relayTasks)} deletions and acknowledgements to do`],
    ['Embedded relay', info.embeddedRelay],
    ['Events', events.newest === 0 ? 'none' : `${String(events.oldest)} to ${String(events.newest)}`],
  ];
}

function showStats(output: Output, servers: readonly ServerStats[]): void {
  const now = Date.now();
  const columns = [
    { title: 'SERVER', cut: true },
    { title: 'WHAT' },
    { title: 'TRIES', align: 'right' },
    { title: 'OK', align: 'right' },
    { title: 'BYTES', align: 'right' },
    { title: 'MEAN', align: 'right' },
    { title: 'LAST' },
  ] as const;
  const rows = servers.flatMap(({ address, actions, failures }) => [
    ...actions.map(({ action, attempts, successes, bytes, meanMs }) => [
      address,
      action,
      String(attempts),
      String(successes),
      bytes === 0 ? '' : humanSize(bytes),
      successes === 0 ? '' : `${String(Math.round(meanMs))} ms`,
      '',
    ]),
    ...failures.map(({ kind, count, lastAt }) => [
      address,
      `${kind} failures`,
      String(count),
      '',
      '',
      '',
      relativeTime(lastAt, now),
    ]),
  ]);
  const lines = rows.length === 0 ? ['Nothing was measured yet.'] : formatTable(columns, rows, outputWidth());
  output.results('serverStats', lines, servers);
}
