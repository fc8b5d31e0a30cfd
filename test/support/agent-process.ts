import { readFile } from 'node:fs/promises';

import { onTestFinished } from 'vitest';

import { type AgentClient, connectAgent } from '#src/sdk/index.js';

import { type ProgramOptions, type RunningProgram, startProgram } from './program.js';

/** A real `xftp-agent start`, and a client of it. */
export interface AgentProcess extends RunningProgram {
  readonly client: AgentClient;
}

/** Starts the agent on a data folder; resolves when it has answered. */
export async function startAgentProcess(
  dataDir: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<AgentProcess> {
  const program = startProgram('xftp-agent', ['start', ...args], {
    ...options,
    env: { XFTP_AGENT_DATA_DIR: dataDir, HOME: dataDir, ...options.env },
  });
  return { ...program, client: await clientOf(program, dataDir) };
}

/** A client of an agent that is starting, which ends with the running test. */
export async function clientOf(program: RunningProgram, dataDir: string): Promise<AgentClient> {
  await program.printed(/Listening on/);
  const client = await connectAgent({ dataDir });
  onTestFinished(() => client.close());
  await client.agent.info();
  return client;
}

/** A figure of /proc/PID/status in bytes, such as VmRSS or VmHWM. */
export async function memoryOf(pid: number, figure: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${String(pid)}/status`, 'utf8');
  return Number(new RegExp(`^${figure}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
}
