import { setTimeout as delay } from 'node:timers/promises';

import { type Command, Option } from 'commander';

import { isXftpError, XftpError } from '../protocol/index.js';
import { type AgentClient, type AgentEndpoint, type ConnectOptions, connectAgent } from '../sdk/index.js';
import { defaultFolders } from './agent-folders.js';
import { isAgentAlive } from './agent-process.js';
import { resolveDataDir } from './agent-options.js';
import { interruptible } from './interruption.js';
import type { Output } from './output.js';

/** How long an agent that has its data folder but does not answer yet is waited for, in ms. */
const START_WAIT_MS = 5000;
/** How long an agent of which there is no trace is waited for, in ms: its program takes a moment to load. */
const APPEAR_WAIT_MS = 1500;
const START_POLL_MS = 50;

/** Options that all commands have which talk to the running agent. */
export interface CommonOptions {
  readonly dataDir?: string;
  readonly config?: string;
  readonly url?: string;
  readonly token?: string;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

/** What commands need of their program. */
export interface CommandTools {
  /** Chosen by the options of the command, before it runs. */
  readonly output: () => Output;
}

/** A command at work with the agent. */
export interface AgentSession {
  readonly agent: AgentClient;
  readonly output: Output;
  /** Aborts when the user has enough. */
  readonly signal: AbortSignal;
}

/** A new command that talks to the running agent, with the options for that. */
export function agentCommand(parent: Command, name: string, description: string): Command {
  const command = parent.command(name);
  return command
    .showHelpAfterError(helpHint(command))
    .description(description)
    .option('--json', 'print one JSON object a line')
    .option('-v, --verbose', 'say more')
    .optionsGroup('Which agent:')
    .option('--data-dir <DIR>', 'data folder of the agent (XFTP_AGENT_DATA_DIR)')
    .option('--url <URL>', 'its address instead, ws://… or unix:PATH (XFTP_AGENT_URL)')
    .addOption(
      // Other users of the machine see arguments of programs, but not their environment.
      new Option('--token <TOKEN>', 'token for --url; better in the environment (XFTP_AGENT_TOKEN)'),
    )
    .addOption(new Option('--config <FILE>', 'configuration file of the agent').hideHelp())
    .optionsGroup('Options:');
}

/** What follows the message about a wrong command line: where to read how it is right. */
export function helpHint(command: Command): string {
  const names: string[] = [];
  for (let each: Command | null = command; each !== null; each = each.parent) names.unshift(each.name());
  return `(${names.join(' ')} --help tells more)`;
}

/**
 * Runs a command's work with a connection to the agent. SIGINT and SIGTERM end it, and with it whatever the work waits
 * for: the agent goes on with what it was asked.
 */
export async function withAgent(
  { output }: CommandTools,
  options: CommonOptions,
  work: (session: AgentSession) => Promise<void>,
): Promise<void> {
  const place = placeOf(options);
  await interruptible(async (signal) => {
    const agent = await connect(place, signal);
    const onAbort = (): void => void agent.close();
    signal.addEventListener('abort', onAbort);
    try {
      await work({ agent, output: output(), signal });
    } catch (error) {
      throw signal.aborted ? interrupted(error) : unreachable(error, place);
    } finally {
      signal.removeEventListener('abort', onAbort);
      output().endProgress();
      await agent.close();
    }
  });
}

/** Where the agent is to be found: in its data folder, perhaps with another token than the one there, or at an address. */
export type AgentPlace =
  | { readonly dataDir: string; readonly token?: string }
  | { readonly endpoint: AgentEndpoint; readonly address: string };

/** The place that options and environment name. A data folder by option counts more than an address in the environment. */
export function placeOf(options: CommonOptions): AgentPlace {
  const environment = process.env;
  const given = (name: string): string | undefined =>
    environment[name] === '' ? undefined : environment[name];
  const fallback = (name: string): string | undefined =>
    options.dataDir === undefined ? given(name) : undefined;
  const address = options.url ?? fallback('XFTP_AGENT_URL');
  const token =
    options.token ?? (options.url === undefined ? fallback('XFTP_AGENT_TOKEN') : given('XFTP_AGENT_TOKEN'));
  if (address !== undefined) {
    if (token === undefined)
      throw new XftpError(
        'INVALID_ARGUMENT',
        'An agent at an address needs a token too: give it in XFTP_AGENT_TOKEN or by --token.',
      );
    return { endpoint: endpointOf(address, token), address };
  }
  const { dataDir, config } = options;
  const commandLine = { ...(dataDir !== undefined && { dataDir }), ...(config !== undefined && { config }) };
  const sources = { commandLine, environment, folders: defaultFolders(), workingFolder: process.cwd() };
  return { dataDir: resolveDataDir(sources), ...(token === undefined ? {} : { token }) };
}

/**
 * A connection to the agent. One that is just being started gets time for it.
 *
 * @throws XftpError AGENT_UNREACHABLE with the way out, UNAUTHENTICATED
 */
export async function connect(place: AgentPlace, signal?: AbortSignal): Promise<AgentClient> {
  const start = performance.now();
  for (;;)
    try {
      return await connectAgent({ ...targetOf(place), ...(signal === undefined ? {} : { signal }) });
    } catch (error) {
      const waited = performance.now() - start;
      const waits = isXftpError(error, 'AGENT_UNREACHABLE') && (await mayCome(place, waited));
      if (!waits || signal?.aborted === true) throw unreachable(error, place);
      await delay(START_POLL_MS);
    }
}

/** Whether an agent that does not answer may do so soon: it is being started, perhaps by the command before this one. */
async function mayCome(place: AgentPlace, waited: number): Promise<boolean> {
  if (!('dataDir' in place) || waited >= START_WAIT_MS) return false;
  return waited < APPEAR_WAIT_MS || (await isAgentAlive(place.dataDir));
}

function targetOf(place: AgentPlace): ConnectOptions {
  if ('endpoint' in place) return { endpoint: place.endpoint };
  const { dataDir, token } = place;
  return { dataDir, ...(token === undefined ? {} : { token }) };
}

function endpointOf(address: string, token: string): AgentEndpoint {
  if (address.startsWith('unix:')) return { socketPath: address.slice('unix:'.length), token };
  if (/^wss?:\/\//.test(address) && URL.canParse(address)) return { url: address, token };
  throw new XftpError('INVALID_ARGUMENT', 'The address of an agent begins with ws://, wss:// or unix:.');
}

/** What the end of the connection means for whoever has ended it; what the work itself says of that is better. */
function interrupted(error: unknown): unknown {
  if (!isXftpError(error) || isXftpError(error, 'CANCELLED')) return error;
  return new XftpError('CANCELLED', 'Interrupted: what the agent was asked for may be done all the same.', {
    cause: error,
  });
}

/** When no agent runs, the way out; other failures as they are. */
function unreachable(error: unknown, place: AgentPlace): unknown {
  if (!isXftpError(error, 'AGENT_UNREACHABLE')) return error;
  const message =
    'endpoint' in place
      ? `No agent answers at ${place.address}: start it with \`xftp-agent start\`.`
      : `No agent is running with the data folder ${place.dataDir}: start it with \`xftp-agent start\`.`;
  return new XftpError('AGENT_UNREACHABLE', message, { cause: error });
}
