import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { onTestFinished } from 'vitest';

import { startRpcServer } from '#src/rpc/index.js';

import { createFakeAgent, type FakeAgent } from './fake-agent.js';
import { type ProgramOptions, type ProgramResult, type RunningProgram, startProgram } from './program.js';
import { temporaryFolder } from './temporary-folder.js';

/** A real RPC server with a fake agent behind it, and the program that talks to it. */
export interface ServedAgent {
  readonly agent: FakeAgent;
  readonly dataDir: string;
  /** `ws://…` */
  readonly url: string;
  /** Starts `xftp-agent` with these arguments, which finds the agent by its data folder. */
  readonly start: (args: readonly string[], options?: ProgramOptions) => RunningProgram;
  /** Runs it to its end. */
  readonly run: (args: readonly string[], options?: ProgramOptions) => Promise<ProgramResult>;
  readonly stop: () => Promise<void>;
}

/** Serves a new fake agent until the running test ends. */
export async function serveFakeAgent(): Promise<ServedAgent> {
  const dataDir = await temporaryFolder();
  await chmod(dataDir, 0o700);
  const agent = createFakeAgent();
  await writeFile(join(dataDir, 'token'), `${agent.token('admin')}\n`, { mode: 0o600 });
  const server = await startRpcServer({ agent, listen: { port: 0 }, dataDir, version: '0.0.0' });
  onTestFinished(() => server.stop());
  const start = (args: readonly string[], options: ProgramOptions = {}): RunningProgram =>
    startProgram('xftp-agent', args, {
      ...options,
      env: { XFTP_AGENT_DATA_DIR: dataDir, HOME: dataDir, ...options.env },
    });
  return {
    agent,
    dataDir,
    url: server.url ?? '',
    start,
    run: (args, options) => start(args, options).ended,
    stop: () => server.stop(),
  };
}
