import { setTimeout as delay } from 'node:timers/promises';

import { openAgent, type RunningAgent } from '../agent/index.js';
import { type RpcServer, startRpcServer } from '../rpc/index.js';
import { XftpError } from '../protocol/index.js';
import { connectAgent } from '../sdk/index.js';
import { makeFolders } from '../system/index.js';
import { localFailure } from '../transfer/index.js';
import { startEmbeddedRelay } from './agent-embedded-relay.js';
import { type Log, standardErrorLog } from './agent-log.js';
import type { ListenPlace, StartOptions } from './agent-option-table.js';
import { packageVersion } from './package-version.js';

/** The agent's own folder is for nobody else. */
const PRIVATE_FOLDER = 0o700;
/** Everything has to be over within 5 s, which is what supervisors and the user's patience allow; a little less here. */
const STOP_MS = 4500;

/** A part of the program that has to be stopped. */
interface Part {
  readonly name: string;
  readonly stop: () => Promise<void>;
}

/**
 * Runs the agent until a signal or a client stops it; then the process ends. A second signal ends it at once.
 *
 * @throws XftpError when it cannot start, with all that was started stopped again
 */
export async function runStart(options: StartOptions): Promise<void> {
  const log = standardErrorLog(options.logLevel);
  const signal = firstSignal();
  const parts: Part[] = [];
  let agent: RunningAgent;
  try {
    agent = await startParts(options, log, parts);
  } catch (error) {
    await stopParts(parts, log);
    throw error;
  }
  const reason = await Promise.race([signal, agent.stopRequested.then(() => 'a client asked for it')]);
  log('info', `Stopping: ${reason}.`);
  await stopParts(parts, log);
  log('info', 'Stopped.');
  // Whatever is still open now was given up.
  process.exit(0);
}

/** Starts relay, agent and RPC; each is put in front of `parts` when it runs, since the last one is stopped first. */
async function startParts(options: StartOptions, log: Log, parts: Part[]): Promise<RunningAgent> {
  const { dataDir, downloads, servers, allowOrigins, socksProxy } = options;
  const version = packageVersion();
  log('info', `xftp-agent ${version}, process ${String(process.pid)}, data folder ${dataDir}`);
  await makeFolders(dataDir, PRIVATE_FOLDER).catch((error: unknown) => {
    throw localFailure(error, dataDir);
  });
  let embeddedRelayAddress: string | undefined;
  if (options.embeddedRelay) {
    await refuseSecond(dataDir);
    const relay = await startEmbeddedRelay(dataDir, log);
    parts.unshift({ name: 'embedded relay', stop: relay.stop });
    embeddedRelayAddress = relay.address;
    log('info', `Embedded relay: ${relay.address}`);
  }
  const agent = await openAgent({
    dataDir,
    downloadsDir: downloads,
    servers,
    version,
    log,
    ...(socksProxy === undefined
      ? {}
      : { settings: { socksProxy: socksProxy === 'none' ? null : socksProxy } }),
    ...(embeddedRelayAddress === undefined ? {} : { embeddedRelayAddress }),
  });
  parts.unshift({ name: 'agent', stop: () => agent.stop() });
  const rpc = await startRpcServer({
    agent,
    dataDir,
    version,
    listen: listenOf(options.listen),
    allowedOrigins: allowOrigins,
    report: (problem, cause) => {
      log('error', `${problem} ${cause instanceof Error ? (cause.stack ?? cause.message) : ''}`);
    },
  });
  parts.unshift({ name: 'RPC', stop: () => rpc.stop() });
  log('info', `Listening on ${placeText(rpc)}`);
  return agent;
}

/** The agent locks its folder itself, but the relay, which starts before it, would complain of something else. */
async function refuseSecond(dataDir: string): Promise<void> {
  let pid: number;
  try {
    const client = await connectAgent({ dataDir });
    ({ pid } = await client.call('agent.info', {}));
    await client.close();
  } catch {
    return;
  }
  throw new XftpError(
    'ALREADY_RUNNING',
    `Another agent uses ${dataDir} (process ${String(pid)}): \`xftp-agent stop\` stops it.`,
  );
}

function listenOf(place: ListenPlace): { host?: string; port?: number; path?: string } {
  return 'socketPath' in place ? { path: place.socketPath } : place;
}

function placeText({ url, socketPath }: RpcServer): string {
  return url ?? `unix:${socketPath ?? ''}`;
}

async function stopParts(parts: readonly Part[], log: Log): Promise<void> {
  const abort = new AbortController();
  const stopping = (async () => {
    for (const { name, stop } of parts)
      await stop().catch((error: unknown) => {
        log(
          'error',
          `The ${name} did not stop well: ${error instanceof Error ? error.message : String(error)}`,
        );
      });
  })();
  const timeout = delay(STOP_MS, 'late', { signal: abort.signal }).catch(() => undefined);
  if ((await Promise.race([stopping, timeout])) === 'late')
    log('warn', 'Not everything came to an end in time; the next start goes on with it.');
  abort.abort();
}

/** Resolves with the first SIGINT or SIGTERM as a reason; at a second one the process ends at once. */
function firstSignal(): Promise<string> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (name: NodeJS.Signals): void => {
      if (asked) process.exit(1);
      asked = true;
      resolve(`${name} was received`);
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}
