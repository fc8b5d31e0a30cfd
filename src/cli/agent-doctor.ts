import type { Command } from 'commander';

import type { AgentInfo } from '../agent/index.js';
import { humanCount, isXftpError, type XftpError } from '../protocol/index.js';
import type { AgentClient } from '../sdk/index.js';
import { allTransfers } from './agent-pages.js';
import { agentCommand, type CommandTools, type CommonOptions, connect, placeOf } from './agent-command.js';
import { type Check, checkClock, checkDisk, checkPrivate, checkWritable } from './doctor-checks.js';
import { EXIT_FAILURE } from './exit-codes.js';
import { interruptible } from './interruption.js';
import type { Output } from './output.js';
import { stateText } from './transfer-text.js';

/** `xftp-agent doctor`. */
export function addDoctorCommand(program: Command, { output }: CommandTools): void {
  agentCommand(program, 'doctor', 'look for what keeps the agent from its work, and say what to do')
    .addHelpText('after', '\nThe exit code is 1 when something has to be done.')
    .action(async (options: CommonOptions) => {
      const healthy = await interruptible((signal) => examine(options, output(), signal));
      if (!healthy) process.exitCode = EXIT_FAILURE;
    });
}

/** Checks one thing after the other and tells of each. */
async function examine(options: CommonOptions, output: Output, signal: AbortSignal): Promise<boolean> {
  let healthy = true;
  const tell = (checks: readonly Check[]): void => {
    for (const check of checks) {
      showCheck(output, check);
      // A warning with nothing to do about it is for information only.
      healthy &&= check.status === 'ok' || (check.status === 'warn' && check.hint === undefined);
    }
  };
  const place = placeOf(options);
  if ('dataDir' in place) tell(await checkPrivate(place.dataDir));
  let agent: AgentClient;
  try {
    agent = await connect(place, signal);
  } catch (error) {
    if (!isXftpError(error)) throw error;
    tell([
      { name: 'agent', status: 'fail', message: error.message },
      ...('dataDir' in place ? await checkDisk(place.dataDir) : []),
    ]);
    return false;
  }
  try {
    const info = await agent.agent.info(undefined, { signal });
    tell(checkAgent(info));
    tell(await checkWritable(info.downloadsDir));
    tell(await checkDisk(info.dataDir, info.downloadsDir));
    tell(checkClock(info.startedAt, Date.now()));
    tell(await checkServers(agent, signal));
    tell(await checkWaiting(agent));
  } catch (error) {
    if (!isXftpError(error) || signal.aborted) throw error;
    tell([{ name: 'agent', status: 'fail', message: error.message, hint: hintFor(error) }]);
  } finally {
    await agent.close();
  }
  return healthy;
}

function showCheck(output: Output, { name, status, message, hint }: Check): void {
  const advice = hint === undefined ? '' : `\n      → ${hint}`;
  output.result('check', `${status.padEnd(4)}  ${name}: ${message}${advice}`, {
    name,
    status,
    message,
    ...(hint === undefined ? {} : { hint }),
  });
}

function checkAgent(info: AgentInfo): readonly Check[] {
  const { version, pid, schemaVersion, network } = info;
  return [
    { name: 'agent', status: 'ok', message: `version ${version} is running (process ${String(pid)}).` },
    { name: 'database', status: 'ok', message: `it can be read (schema ${String(schemaVersion)}).` },
    network.online
      ? { name: 'network', status: 'ok', message: 'the agent is online.' }
      : {
          name: 'network',
          status: 'warn',
          message: 'the agent believes that there is no network: transfers wait.',
          hint:
            network.source === 'client' ? 'A program said so (agent.setNetwork).' : 'Check the connection.',
        },
  ];
}

/** Why transfers wait: one line for each reason. */
async function checkWaiting(agent: AgentClient): Promise<readonly Check[]> {
  const counts = new Map<string, number>();
  for await (const transfer of allTransfers(agent, { state: 'waiting' })) {
    const { failure } = transfer;
    const why = failure === undefined ? stateText(transfer) : failure.message;
    counts.set(why, (counts.get(why) ?? 0) + 1);
  }
  return [...counts].map(([why, count]) => ({
    name: 'transfers',
    status: 'warn',
    message: `${humanCount(count, 'transfer')} waiting, and tried again until the deadline: ${why}`,
  }));
}

async function checkServers(agent: AgentClient, signal: AbortSignal): Promise<readonly Check[]> {
  const { servers } = await agent.servers.list();
  const enabled = servers.filter((server) => server.enabled);
  if (enabled.length === 0)
    return [
      {
        name: 'servers',
        status: 'warn',
        message: 'no server is enabled: nothing can be sent unless it names servers.',
        hint: '`xftp-agent servers add --preset simplex` adds the public relays of SimpleX.',
      },
    ];
  return Promise.all(enabled.map(({ address }) => checkServer(agent, address, signal)));
}

async function checkServer(agent: AgentClient, address: string, signal: AbortSignal): Promise<Check> {
  const name = `server ${address}`;
  const { ok, steps } = await agent.servers.test({ address }, { signal });
  const total = steps.reduce((sum, { ms }) => sum + ms, 0);
  if (ok)
    return { name, status: 'ok', message: `it takes and gives chunks (${String(Math.round(total))} ms).` };
  const last = steps.at(-1);
  const reason = last?.failure?.message ?? 'the test failed.';
  return {
    name,
    status: 'fail',
    message: last === undefined ? reason : `step ${last.step} failed: ${reason}`,
    hint: last?.failure?.hint ?? 'Try again later, or `xftp-agent servers disable` it.',
  };
}

function hintFor(error: XftpError): string {
  return error.code === 'FORBIDDEN'
    ? 'This token may not do that: use one with scope admin.'
    : 'Look at the log of the agent, and start it again.';
}
