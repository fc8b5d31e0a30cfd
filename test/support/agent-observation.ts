import { readFile } from 'node:fs/promises';

import { onTestFinished } from 'vitest';

import { type AgentClient, connectAgent } from '#src/sdk/index.js';

import type { RunningProgram } from './program.js';

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
