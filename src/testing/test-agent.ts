import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { openAgent, type RunningAgent } from '../agent/index.js';
import { XftpError } from '../protocol/index.js';
import { type RpcServer, startRpcServer } from '../rpc/index.js';
import { type AgentClient, type AgentEndpoint, connectAgent, findAgent } from '../sdk/index.js';
import { makeTemporaryFolder } from './temporary-folder.js';
import { startTestRelay, type TestRelay } from './test-relay.js';

/** What test agents call themselves. */
const VERSION = '0.0.0-test';
const PRIVATE_FOLDER = 0o700;

/** How a test agent is to be. */
export interface TestAgentOptions {
  /** Relays for its server list: test relays or server addresses. It gets a test relay of its own unless given. */
  readonly relays?: readonly (TestRelay | string)[];
  /** Web pages that may connect, as `https://example.org`; none unless given. */
  readonly allowedOrigins?: readonly string[];
  /** Told what the agent would write to its log. */
  readonly log?: (level: 'error' | 'warn' | 'info' | 'debug', message: string) => void;
  /** Folder to make the temporary folder in; the system's unless given. */
  readonly temporaryRoot?: string;
}

/** An agent in this process, with its RPC. */
export interface TestAgent {
  /** Connected, with the admin token. It finds the agent again after `restart`. */
  readonly client: AgentClient;
  /** Where the agent listens now, and the admin token. */
  readonly endpoint: AgentEndpoint & { readonly url: string };
  /** `rpc.json` and `token` are in it, as with any agent: other processes find it with XFTP_AGENT_DATA_DIR. */
  readonly dataDir: string;
  /** Where received files go unless told otherwise. */
  readonly downloadsDir: string;
  /** Addresses of its server list. */
  readonly relays: readonly string[];
  /** Ends the agent and opens it again on the same data folder, on another port, as a restart of the machine would. */
  readonly restart: () => Promise<void>;
  /** Ends agent, client and its own relay, and removes all folders. Calling it again waits for the same end. */
  readonly stop: () => Promise<void>;
}

/** Starts an agent on 127.0.0.1, on a port that the system chooses, with everything in a temporary folder. */
export async function startTestAgent(options: TestAgentOptions = {}): Promise<TestAgent> {
  // What was started last is ended first.
  const ends: (() => Promise<void>)[] = [];
  const endAll = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    return await startParts(options, (end) => ends.push(end), endAll);
  } catch (error) {
    await endAll();
    throw error;
  }
}

async function startParts(
  options: TestAgentOptions,
  onEnd: (end: () => Promise<void>) => void,
  endAll: () => Promise<void>,
): Promise<TestAgent> {
  const { relays = [await ownRelay(options, onEnd)] } = options;
  const addresses = relays.map((relay) => (typeof relay === 'string' ? relay : relay.address));
  const home = await makeTemporaryFolder('xftp-test-agent-', options.temporaryRoot);
  onEnd(home.remove);
  const dataDir = join(home.path, 'data');
  const downloadsDir = join(home.path, 'downloads');
  await mkdir(dataDir, { mode: PRIVATE_FOLDER });
  await mkdir(downloadsDir);

  const start = (): Promise<Served> => serve({ ...options, dataDir, downloadsDir, servers: addresses });
  let served = await start();
  onEnd(() => served.stop());
  const client = await connectAgent({ dataDir });
  onEnd(() => client.close());

  let stopped: Promise<void> | undefined;
  return {
    client,
    get endpoint() {
      return served.endpoint;
    },
    dataDir,
    downloadsDir,
    relays: addresses,
    restart: async () => {
      if (stopped !== undefined) throw new XftpError('ILLEGAL_STATE', 'The test agent was stopped.');
      await served.stop();
      served = await start();
    },
    stop: () => (stopped ??= endAll()),
  };
}

async function ownRelay(
  { temporaryRoot }: TestAgentOptions,
  onEnd: (end: () => Promise<void>) => void,
): Promise<TestRelay> {
  const relay = await startTestRelay(temporaryRoot === undefined ? {} : { temporaryRoot });
  onEnd(relay.stop);
  return relay;
}

interface Served {
  readonly endpoint: TestAgent['endpoint'];
  readonly stop: () => Promise<void>;
}

/** Opens the agent and serves it; a client that asks it to stop ends both, as the program would. */
async function serve(
  options: TestAgentOptions & {
    readonly dataDir: string;
    readonly downloadsDir: string;
    readonly servers: readonly string[];
  },
): Promise<Served> {
  const { dataDir, downloadsDir, servers, allowedOrigins = [], log } = options;
  const agent = await openAgent({
    dataDir,
    downloadsDir,
    servers,
    version: VERSION,
    ...(log === undefined ? {} : { log }),
  });
  let rpc: RpcServer | undefined;
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= stopBoth(agent, rpc));
  try {
    rpc = await startRpcServer({
      agent,
      dataDir,
      version: VERSION,
      listen: { port: 0 },
      allowedOrigins,
      report: (problem, cause) => log?.('error', `${problem} ${String(cause)}`),
    });
    const { token } = await findAgent(dataDir);
    void agent.stopRequested.then(stop);
    return { endpoint: { url: rpc.url ?? '', token }, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function stopBoth(agent: RunningAgent, rpc: RpcServer | undefined): Promise<void> {
  try {
    await rpc?.stop();
  } finally {
    await agent.stop();
  }
}
