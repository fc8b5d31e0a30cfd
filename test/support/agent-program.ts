import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, onTestFinished } from 'vitest';

import type { TransferInfo } from '#src/agent/index.js';
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

/** The objects that `--json` printed: one a line, and nothing else. */
export function linesOf({ stdout, stderr }: ProgramResult): Record<string, unknown>[] {
  expect(stderr).toBe('');
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>); // checked by what the tests expect of it
}

/** Proves that a program did what it should, and gives what it printed. */
export function succeeded(result: ProgramResult): string {
  expect(result).toMatchObject({ exitCode: 0, stderr: '' });
  return result.stdout;
}

/** Adds transfers t2, t3, … (t1 would be the token). */
export async function addTransfers({ agent }: ServedAgent, count: number): Promise<readonly TransferInfo[]> {
  const transfers: TransferInfo[] = [];
  for (let index = 0; index < count; index++)
    transfers.push(await agent.send({ path: `/srv/file${String(index)}` }, { tokenId: 1 }));
  agent.received.length = 0;
  return transfers;
}
