import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import * as agentFolder from '#src/agent/index.js';

import { type ProgramOptions, runProgram, type RunningProgram, startProgram } from '../support/program.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { expectFailure } from '../support/transfers.js';

/** Time in which the agent ends after it was asked to, in milliseconds. */
const STOP_MS = 5000;

interface StartedAgent {
  readonly program: RunningProgram;
  readonly dataDir: string;
  readonly options: ProgramOptions;
}

async function agentOptions(): Promise<{ dataDir: string; options: ProgramOptions }> {
  const folder = await temporaryFolder();
  const dataDir = join(folder, 'data');
  const env = { HOME: folder, XFTP_AGENT_DATA_DIR: dataDir, XFTP_AGENT_DOWNLOADS: folder };
  return { dataDir, options: { env } };
}

async function startAgent(args: readonly string[] = []): Promise<StartedAgent> {
  const { dataDir, options } = await agentOptions();
  const program = startProgram('xftp-agent', ['start', ...args], options);
  await program.printed(/Listening on /);
  return { program, dataDir, options };
}

describe('xftp-agent start', () => {
  it('refuses wrong options before it starts anything', async () => {
    const env = { HOME: await temporaryFolder() };
    expectFailure(
      await runProgram('xftp-agent', ['start', '--listen', 'here'], { env }),
      'INVALID_ARGUMENT',
      /^--listen cannot be used\./,
    );
    expectFailure(
      await runProgram('xftp-agent', ['start'], { env: { ...env, XFTP_AGENT_CONFIG: 'missing.toml' } }),
      'INVALID_CONFIG',
      /^The configuration file cannot be read\./,
    );
  });
});

describe.skipIf(!('openAgent' in agentFolder))('A started agent', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('ends at %s, in time and with 0', async (signal) => {
    const { program } = await startAgent();
    const before = performance.now();
    const { exitCode, stdout, stderr } = await program.end(signal);
    expect(performance.now() - before).toBeLessThan(STOP_MS);
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: '' });
    for (const line of stderr.trimEnd().split('\n'))
      expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z (error|warn |info |debug) \S/);
    expect(stderr).toMatch(new RegExp(`Stopping: ${signal} was received\\.\n`));
  });

  it('is found by the other commands, which can stop it', async () => {
    const { program, dataDir, options } = await startAgent(['--embedded-relay']);
    expect((await stat(dataDir)).mode & 0o777).toBe(0o700);
    const status = await runProgram('xftp-agent', ['status'], options);
    expect(status).toMatchObject({ exitCode: 0, stderr: '' });
    expect(status.stdout).toMatch(/\nEmbedded relay: +xftp:.*@127\.0\.0\.1:\d+\n/);
    const second = await runProgram('xftp-agent', ['start', '--embedded-relay'], options);
    expect(second.exitCode).toBe(48);
    expect(second.stderr.trimEnd().split('\n').at(-1)).toMatch(/process \d+/);
    const stopping = await runProgram('xftp-agent', ['stop'], options);
    expect(stopping).toMatchObject({ exitCode: 0, stdout: 'The agent has stopped.\n' });
    expect(await program.ended).toMatchObject({ exitCode: 0 });
  });

  it('is found by a command that comes at once', async () => {
    const { options } = await agentOptions();
    const program = startProgram('xftp-agent', ['start'], options);
    const status = await runProgram('xftp-agent', ['status'], options);
    expect(status).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await program.end('SIGTERM')).toMatchObject({ exitCode: 0 });
  });

  it('listens on a Unix socket', async () => {
    const socket = join(await temporaryFolder(), 'agent.sock');
    const { dataDir, options } = await startAgent(['--listen', `unix:${socket}`]);
    expect((await stat(socket)).mode & 0o777).toBe(0o600);
    const token = (await readFile(join(dataDir, 'token'), 'utf8')).trim();
    for (const args of [['status'], ['status', '--url', `unix:${socket}`, '--token', token]])
      expect(await runProgram('xftp-agent', args, options)).toMatchObject({ exitCode: 0, stderr: '' });
  });
});
