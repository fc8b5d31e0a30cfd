import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { type AgentClient, connectAgent } from '#src/sdk/index.js';

import { onTestFinished } from 'vitest';

import { type RunningProgram, startProgram } from './program.js';
import { temporaryFolder } from './temporary-folder.js';

/** The program `xftp-agent start` in a folder of its own, to be killed and started again. */
export interface AgentProcess {
  readonly dataDir: string;
  readonly downloadsDir: string;
  /** Starts it; resolves when it can be called. */
  readonly start: () => Promise<void>;
  /** Starts it and does not wait. */
  readonly launch: () => RunningProgram;
  /** Ends it with -9 and waits for that. */
  readonly kill: () => Promise<void>;
  /** A client that ends with the running test; it finds the agent again after each start. */
  readonly connect: () => Promise<AgentClient>;
}

/** Prepares an agent that uses the given relays. */
export async function agentProcess(servers: readonly string[]): Promise<AgentProcess> {
  const folder = await temporaryFolder();
  const [dataDir, downloadsDir] = [join(folder, 'data'), join(folder, 'downloads')];
  await mkdir(downloadsDir);
  const args = ['start', '--data-dir', dataDir, '--downloads', downloadsDir];
  for (const server of servers) args.push('--server', server);
  let program: RunningProgram | undefined;
  const launch = (): RunningProgram => (program = startProgram('xftp-agent', args));
  return {
    dataDir,
    downloadsDir,
    launch,
    start: async () => {
      await launch().printed(/Listening on/);
    },
    kill: async () => {
      await program?.end('SIGKILL');
    },
    connect: async () => {
      const client = await connectAgent({ dataDir });
      onTestFinished(() => client.close());
      return client;
    },
  };
}
