import { type Command, InvalidArgumentError, Option } from 'commander';

import type { FailureInfo, ServerInfo, ServerRole, ServerTestResult } from '../agent/index.js';
import { humanDuration, parseServerAddress, XftpError } from '../protocol/index.js';
import type { AgentClient } from '../sdk/index.js';
import { agentCommand, type CommandTools, type CommonOptions, withAgent } from './agent-command.js';
import { priorityOf } from './agent-transfers.js';
import type { Output } from './output.js';
import { formatTable, outputWidth } from './table.js';
import { relativeTime } from './time-text.js';
import { failureText } from './transfer-text.js';

const WHICH =
  'number of the server in the list, its address, or a part of its HOST[:PORT], not of digits alone, that no other has';

interface AddOptions extends CommonOptions {
  readonly preset?: 'simplex';
  readonly operator?: string;
  readonly disabled?: boolean;
  readonly role?: readonly ServerRole[];
  readonly priority?: number;
}

const ROLES = ['upload', 'download-approved'] as const;

/** May be given twice. */
function roleOption(): Option {
  return new Option('--role <ROLE>', 'what it is for: upload, download-approved; both unless given')
    .choices(ROLES)
    .argParser((value: string, before: readonly ServerRole[] | undefined) => {
      const role = ROLES.find((each) => each === value);
      if (role === undefined) throw new InvalidArgumentError(`Allowed choices are ${ROLES.join(', ')}.`);
      return [...new Set([...(before ?? []), role])];
    });
}

function priorityOption(): Option {
  return new Option(
    '--priority <N>',
    'of those to send through, the ones with the highest come first; from -10 to 10',
  ).argParser(priorityOf);
}

/** What was said of a server. */
function detailsOf({ operator, role, priority }: AddOptions): Pick<AddOptions, 'operator' | 'priority'> & {
  readonly roles?: ServerRole[];
} {
  return {
    ...(operator !== undefined && { operator }),
    ...(role !== undefined && { roles: [...role] }),
    ...(priority !== undefined && { priority }),
  };
}

/** `xftp-agent servers …`. */
export function addServerCommands(program: Command, tools: CommandTools): void {
  const servers = program
    .command('servers')
    .showHelpAfterError('(xftp-agent servers --help tells more)')
    .description('relays to send through, and to receive from without asking')
    .helpCommand(false);

  agentCommand(servers, 'list', 'show the server list').action((options: CommonOptions) =>
    withAgent(tools, options, async ({ agent, output }) => {
      showServers(output, (await agent.servers.list()).servers);
    }),
  );

  agentCommand(servers, 'add', 'add a relay, or the preset relays of SimpleX')
    .argument('[ADDRESS]', 'xftp://FINGERPRINT[:PASSWORD]@HOST[:PORT]')
    .addOption(new Option('--preset <NAME>', 'a set of relays instead').choices(['simplex']))
    .option('--operator <NAME>', 'who runs it; copies of a chunk go to different operators')
    .option('--disabled', 'do not send through it')
    .addOption(roleOption())
    .addOption(priorityOption())
    .action((address: string | undefined, options: AddOptions) =>
      withAgent(tools, options, ({ agent, output }) => addServer(agent, output, address, options)),
    );

  for (const [name, description, enabled] of [
    ['enable', 'send through a server again', true],
    ['disable', 'send nothing through a server', false],
  ] as const)
    agentCommand(servers, name, description)
      .argument('<SERVER>', WHICH)
      .action((which: string, options: CommonOptions) =>
        withAgent(tools, options, async ({ agent, output }) => {
          const { id } = await findServer(agent, which);
          showServers(output, [await agent.servers.update({ id, enabled })]);
        }),
      );

  agentCommand(servers, 'update', 'change what a server is for, its operator or its priority')
    .argument('<SERVER>', WHICH)
    .option('--operator <NAME>', 'who runs it; copies of a chunk go to different operators')
    .addOption(roleOption())
    .addOption(priorityOption())
    .action((which: string, options: AddOptions) =>
      withAgent(tools, options, async ({ agent, output }) => {
        const change = detailsOf(options);
        if (Object.keys(change).length === 0)
          throw new XftpError(
            'INVALID_ARGUMENT',
            'Give --operator, --role or --priority: nothing would change.',
          );
        const { id } = await findServer(agent, which);
        showServers(output, [await agent.servers.update({ id, ...change })]);
      }),
    );

  agentCommand(servers, 'remove', 'remove a server; transfers that use it go on')
    .alias('rm')
    .argument('<SERVER>', WHICH)
    .action((which: string, options: CommonOptions) =>
      withAgent(tools, options, async ({ agent, output }) => {
        const { id, address } = await findServer(agent, which);
        await agent.servers.remove({ id });
        output.result('serverRemoved', `Removed ${address}`, { id, address });
      }),
    );

  agentCommand(servers, 'test', 'connect, upload, download and delete a small chunk')
    .argument('[SERVER]', `${WHICH}; all enabled ones if absent`)
    .action((which: string | undefined, options: CommonOptions) =>
      withAgent(tools, options, async ({ agent, output, signal }) => {
        const addresses = await addressesToTest(agent, which);
        if (addresses.length === 0)
          output.results('serverTest', ['No server is enabled: there is nothing to test.'], []);
        let failure: FailureInfo | undefined;
        for (const address of addresses) {
          const result = await agent.servers.test({ address }, { signal });
          showTest(output, result);
          failure ??= result.steps.find((step) => step.failure !== undefined)?.failure;
        }
        if (failure !== undefined) throw new XftpError(failure.code, 'Not every server passed the test.');
      }),
    );
}

async function addServer(
  agent: AgentClient,
  output: Output,
  address: string | undefined,
  options: AddOptions,
): Promise<void> {
  const { preset, disabled = false } = options;
  const details = { enabled: !disabled, ...detailsOf(options) };
  if ((address === undefined) === (preset === undefined))
    throw new XftpError('INVALID_ARGUMENT', 'Give either the address of a relay or --preset simplex.');
  const which = address === undefined ? { preset: 'simplex' as const } : { address };
  const { servers } = await agent.servers.add({ ...which, ...details });
  if (servers.length === 0) output.results('server', ['All preset relays are in the list already.'], []);
  else showServers(output, servers);
}

/** The server that a person means. What a part of a key or password would fit by chance is never taken. */
async function findServer(agent: AgentClient, which: string): Promise<ServerInfo> {
  const { servers } = await agent.servers.list();
  const [first, ...others] = servers.filter(meant(which));
  if (first === undefined)
    throw new XftpError('NOT_FOUND', 'This server is not in the list: `xftp-agent servers list` shows it.');
  if (others.length === 0) return first;
  throw new XftpError('INVALID_ARGUMENT', 'Several servers in the list fit: name one by its number.');
}

function meant(which: string): (server: ServerInfo) => boolean {
  if (/^\d+$/.test(which)) return ({ id }) => String(id) === which;
  if (which.startsWith('xftp://')) {
    const wanted = withoutPassword(which);
    return ({ address }) => address === wanted;
  }
  return ({ address }) => which !== '' && address.slice(address.indexOf('@') + 1).includes(which);
}

async function addressesToTest(agent: AgentClient, which: string | undefined): Promise<readonly string[]> {
  // One that is not in the list can be tested before it is added, with its password.
  if (which?.startsWith('xftp://') === true) return [which];
  if (which !== undefined) return [(await findServer(agent, which)).address];
  const { servers } = await agent.servers.list();
  return servers.filter(({ enabled }) => enabled).map(({ address }) => address);
}

function withoutPassword(address: string): string {
  parseServerAddress(address);
  return address.replace(/^(xftp:\/\/[^:@]*):[^@]*@/, '$1@');
}

function showServers(output: Output, servers: readonly ServerInfo[]): void {
  const now = Date.now();
  const columns = [
    { title: 'NO', align: 'right' },
    { title: 'STATE' },
    { title: 'PRIORITY', align: 'right' },
    { title: 'OPERATOR', cut: true },
    { title: 'ADDRESS', cut: true },
  ] as const;
  const rows = servers.map((server) => [
    String(server.id),
    serverState(server, now),
    String(server.priority),
    server.operator ?? '',
    `${server.address}${server.hasPassword ? ' (with password)' : ''}`,
  ]);
  const lines = rows.length === 0 ? ['No servers.'] : formatTable(columns, rows, outputWidth());
  output.results('server', lines, servers);
}

function serverState({ enabled, roles, gate, retryAt }: ServerInfo, now: number): string {
  if (!enabled) return 'disabled';
  if (roles.length === 0) return 'not used';
  if (!roles.includes('upload')) return 'downloads only';
  if (gate === 'open') return roles.length === 1 ? 'uploads only' : 'enabled';
  if (gate === 'probing') return 'being tried again';
  return retryAt === undefined ? 'failing' : `failing, next try ${relativeTime(retryAt, now)}`;
}

/** Shows how a test went, step by step. */
function showTest(output: Output, result: ServerTestResult): void {
  const lines = result.steps.map(({ step, ok, ms, failure }) => {
    const time = ms < 1000 ? `${String(Math.round(ms))} ms` : humanDuration(ms / 1000);
    const reason = failure === undefined ? '' : `: ${failureText(failure)}`;
    return `  ${ok ? 'ok  ' : 'FAIL'}  ${step} (${time})${reason}`;
  });
  output.result('serverTest', [`${result.address}:`, ...lines].join('\n'), { ...result });
}
