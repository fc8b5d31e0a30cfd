import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import { onTestFinished } from 'vitest';

const PROGRAM = 'dist/bin/xftp-server.js';

/** How a run of the program ended. */
export interface ProgramRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * The folders of a server under test, as the environment names them. One process serves its connections: most tests are
 * about what a relay does, not about how many do it, and it starts twice as fast.
 */
export function serverVariables(home: string): Readonly<Record<string, string>> {
  return {
    XFTP_SERVER_CFG_PATH: join(home, 'etc'),
    XFTP_SERVER_LOG_PATH: join(home, 'var'),
    XFTP_TRANSPORT_CONNECTION_WORKERS: '1',
  };
}

/** The whole environment of a server under test. */
export function serverEnvironment(home: string): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, ...serverVariables(home) };
}

/** Runs the program to its end. */
export async function runServer(
  home: string,
  args: readonly string[],
  input = '',
  env: NodeJS.ProcessEnv = {},
): Promise<ProgramRun> {
  const child = spawn(process.execPath, [PROGRAM, ...args], { env: { ...serverEnvironment(home), ...env } });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  const output = collect(child);
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...output() };
}

/** A server that runs as a process of its own. */
export interface ServerProcess {
  readonly port: number;
  readonly output: () => { stdout: string; stderr: string };
  /** Sends a signal and waits for the end: the exit code, or null after SIGKILL. */
  readonly end: (signal: NodeJS.Signals) => Promise<number | null>;
  readonly signal: (signal: NodeJS.Signals) => void;
}

/**
 * Starts a server and waits until it listens.
 *
 * @param env beside its folders
 */
export async function startServerProcess(home: string, env: NodeJS.ProcessEnv = {}): Promise<ServerProcess> {
  const child = spawn(process.execPath, [PROGRAM, 'start'], { env: { ...serverEnvironment(home), ...env } });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  const output = collect(child);
  const closed = once(child, 'close') as Promise<[number | null]>;
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.on('data', () => {
      const match = /Listening on port (\d+)\.\.\./.exec(output().stdout);
      if (match !== null) resolve(Number(match[1]));
    });
    void closed.then(() => {
      reject(new Error(`The server ended: ${output().stderr}`));
    });
  });
  return {
    port,
    output,
    signal: (signal) => child.kill(signal),
    end: async (signal) => {
      child.kill(signal);
      return (await closed)[0];
    },
  };
}

function collect(child: ChildProcess): () => { stdout: string; stderr: string } {
  const output = { stdout: '', stderr: '' };
  child.stdout?.on('data', (data: Buffer) => (output.stdout += data.toString()));
  child.stderr?.on('data', (data: Buffer) => (output.stderr += data.toString()));
  return () => ({ ...output });
}
