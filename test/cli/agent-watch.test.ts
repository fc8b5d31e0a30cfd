import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';

import type { TransferInfo } from '#src/agent/index.js';
import { EXIT_INTERRUPTED, exitCodeOf } from '#src/cli/exit-codes.js';
import { LiveLines } from '#src/cli/live-lines.js';

import {
  addTransfers,
  linesOf,
  type ServedAgent,
  serveFakeAgent,
  succeeded,
} from '../support/agent-program.js';
import { makePipe } from '../support/pipe.js';
import { commandOf, type RunningProgram, startCommand } from '../support/program.js';

/** Programs start slowly on a busy machine; nothing waits for it when all is well. */
const SLOW_START_MS = 30_000;

/** Resolves when a program has subscribed to the agent's events. */
async function subscribed({ agent }: ServedAgent): Promise<void> {
  await vi.waitFor(() => {
    expect(agent.listeners()).toBeGreaterThan(0);
  }, SLOW_START_MS);
}

/** Ends a transfer of the fake agent as a real one would. */
function finish({ agent }: ServedAgent, id: string, end: Partial<TransferInfo>): void {
  const transfer = { ...agent.get(id), state: 'completed', ...end } as const;
  agent.onGet = () => transfer;
  const { state: to, failure } = transfer;
  agent.commit({
    type: 'transfer.state',
    transferId: id,
    data: { from: 'uploading', to, ...(failure && { failure }) },
  });
  if (to === 'completed') agent.commit({ type: 'transfer.completed', transferId: id, data: { transfer } });
  if (failure !== undefined)
    agent.commit({ type: 'transfer.failed', transferId: id, data: { transfer, failure } });
}

async function waiting(args: readonly string[]): Promise<{ served: ServedAgent; program: RunningProgram }> {
  const served = await serveFakeAgent();
  const program = served.start(args);
  await program.printed(/t2/);
  await subscribed(served);
  return { served, program };
}

describe('--wait', () => {
  it('shows progress and hands out links when a send is completed', async () => {
    const { served, program } = await waiting(['send', '/srv/file', '--wait', '--json']);
    served.agent.progress('t2', 500);
    await program.printed(/"done":500/);
    const link = {
      link: 'simplex:/file#1',
      webLink: 'https://relay.example/#1',
      redirect: false,
      fitsQrCode: true,
    };
    const recipients = [{ number: 1, description: 'yaml', ...link }];
    served.agent.descriptions = () => Promise.resolve({ sender: 'yaml', recipients, spare: 0 });
    finish(served, 't2', {});
    const result = await program.ended;
    expect(result.exitCode).toBe(0);
    expect(linesOf(result)).toMatchObject([
      { event: 'added', id: 't2' },
      { event: 'progress', step: 'uploading', done: 500, total: 1000 },
      { event: 'recipient', number: 1, webLink: 'https://relay.example/#1' },
    ]);
  });

  it('tells where a received file is, and what has to be approved', async () => {
    const { served, program } = await waiting(['receive', 'https://relay.example/#1', '--wait']);
    const approval = { servers: ['xftp://unknown'], reason: 'It is not known.' };
    served.agent.commit({ type: 'transfer.approval', transferId: 't2', data: approval });
    await program.printed(/^Warning: .*xftp:\/\/unknown.*`xftp-agent approve t2` lets it go on\.$/m);
    finish(served, 't2', { path: '/in/cat.jpg', fileSize: 3 });
    expect(await program.ended).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/\nFile downloaded: \/in\/cat\.jpg\n$/),
    });
  });

  it('says what it waits for, each reason once', async () => {
    const { served, program } = await waiting(['send', '/srv/file', '--wait']);
    const failure = {
      code: 'CONNECT_FAILED',
      kind: 'temporary',
      temporary: true,
      message: 'Nothing listens there.',
      hint: 'Wait.',
    } as const;
    const data = { from: 'uploading', to: 'waiting', waitingReason: 'relay', failure } as const;
    for (let times = 0; times < 2; times++)
      served.agent.commit({ type: 'transfer.state', transferId: 't2', data });
    await program.printed(/^Waiting for a relay: Nothing listens there; it is tried again until /m);
    finish(served, 't2', {});
    const { stderr } = await program.ended;
    expect(stderr).toMatch(/^Waiting for a relay: .* until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+\.\n$/);
  });

  it('ends with the code of the failure', async () => {
    const { served, program } = await waiting(['send', '/srv/file', '--wait']);
    const failure = {
      code: 'RELAY_FULL',
      kind: 'refused',
      temporary: false,
      message: 'It is full.',
      hint: 'Wait.',
    } as const;
    finish(served, 't2', { state: 'failed', failure });
    expect(await program.ended).toMatchObject({
      exitCode: exitCodeOf('RELAY_FULL'),
      stderr: 'It is full. Wait.\n',
    });
  });

  it('ends at Ctrl-C, which the transfer does not', async () => {
    const { served, program } = await waiting(['send', '/srv/file', '--wait']);
    expect(await program.end('SIGINT')).toMatchObject({
      exitCode: EXIT_INTERRUPTED,
      stderr: 'The transfer goes on in the background: `xftp-agent show t2` tells how it is.\n',
    });
    expect(served.agent.get('t2').state).toBe('queued');
  });
});

describe('a file that takes long to copy', () => {
  it('is told of, also who does not want to wait for it', async () => {
    const served = await serveFakeAgent();
    served.agent.send = () => new Promise(() => undefined);
    const program = served.start(['send', '/srv/large.iso']);
    await program.printed(/^Copying large\.iso, so that it may change from then on …$/m);
    const { exitCode, stdout, stderr } = await program.end('SIGINT');
    expect([exitCode, stdout]).toEqual([EXIT_INTERRUPTED, '']);
    expect(stderr.trimEnd().split('\n').at(-1)).toBe(
      'The agent may be copying large.iso still, and then sends it: `xftp-agent list` shows whether it does.',
    );
  });
});

describe('a command that waits', () => {
  it('for the agent ends at a signal', async () => {
    const served = await serveFakeAgent();
    await addTransfers(served, 1);
    const asked = vi.fn(() => new Promise<never>(() => undefined));
    served.agent.descriptions = asked;
    const program = served.start(['descriptions', 't2']);
    await vi.waitFor(() => {
      expect(asked).toHaveBeenCalled();
    }, SLOW_START_MS);
    expect(await program.end('SIGTERM')).toMatchObject({
      exitCode: 143,
      stderr: 'Interrupted: what the agent was asked for may be done all the same.\n',
    });
  });

  it.each(['receive', 'inspect'])(
    'for a description that nobody writes (%s) ends at a signal',
    async (name) => {
      const served = await serveFakeAgent();
      const pipe = join(served.dataDir, 'pipe');
      await makePipe(pipe);
      const program = served.start([name, pipe]);
      // Possible as soon as the program has opened the pipe too.
      const writer = await vi.waitFor(
        () => open(pipe, constants.O_WRONLY | constants.O_NONBLOCK),
        SLOW_START_MS,
      );
      onTestFinished(() => writer.close());
      expect(await program.end('SIGINT')).toMatchObject({ signal: 'SIGINT', stdout: '', stderr: '' });
      expect(served.agent.received).toEqual([]);
    },
  );
});

describe('watch', () => {
  it('prints a line for each event of a transfer until its end', async () => {
    const served = await serveFakeAgent();
    await addTransfers(served, 2);
    const program = served.start(['watch', 't3']);
    await program.printed(/^t3 .* queued/m);
    await subscribed(served);
    served.agent.pause('t2');
    served.agent.pause('t3');
    finish(served, 't3', {});
    const { exitCode, stdout } = await program.ended;
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/#\d+ t3 {2}queued → paused\n/);
    expect(stdout).toMatch(/ t3 {2}completed: .* was sent\n$/);
    expect(stdout).not.toContain('t2');
  });

  it('goes on with all transfers until Ctrl-C', async () => {
    const served = await serveFakeAgent();
    await addTransfers(served, 1);
    const program = served.start(['watch', '--json']);
    await program.printed(/"t2"/);
    await subscribed(served);
    await addTransfers(served, 1);
    served.agent.cancel('t2');
    await program.printed(/cancelled/);
    const result = await program.end('SIGINT');
    expect(result.exitCode).toBe(0);
    expect(linesOf(result)).toMatchObject([
      { event: 'transfer', id: 't2' },
      { event: 'transfer.created', transferId: 't3', seq: 2 },
      { event: 'transfer.state', transferId: 't2', data: { from: 'queued', to: 'cancelled' } },
    ]);
  });

  it('of a transfer that has failed ends with the code of its failure', async () => {
    const served = await serveFakeAgent();
    await addTransfers(served, 1);
    const failure = { code: 'CHUNK_GONE', kind: 'gone', temporary: false, message: 'It is gone.' } as const;
    finish(served, 't2', { state: 'failed', failure });
    const result = await served.run(['watch', 't2']);
    expect(result).toMatchObject({ exitCode: exitCodeOf('CHUNK_GONE'), stderr: 'It is gone.\n' });
  });
});

describe('watch on a terminal', () => {
  it('shows a line for each transfer, which changes in place, and ends above', async () => {
    const served = await serveFakeAgent();
    await addTransfers(served, 2);
    const words = commandOf('xftp-agent', ['watch']).map((word) => `'${word}'`);
    const command = `stty cols 80 rows 24; exec ${words.join(' ')}`;
    const program = startCommand(['script', '--quiet', '--return', '--command', command, '/dev/null'], {
      interactive: true,
      env: { XFTP_AGENT_DATA_DIR: served.dataDir, HOME: served.dataDir },
    });
    await subscribed(served);
    served.agent.progress('t2', 500);
    served.agent.commit({
      type: 'transfer.state',
      transferId: 't2',
      data: { from: 'queued', to: 'uploading' },
    });
    served.agent.progress('t2', 500);
    await program.printed(/t2 ↑ █{10}░{10} {2}50 % {2}1 bytes\/s {2}file0/);
    served.agent.cancel('t3');
    await program.printed(/file1: queued → cancelled\r\nt2 /);
    program.write('\u0003');
    const { exitCode, stdout } = await program.ended;
    expect(exitCode).toBe(0);
    const screen = stdout.replaceAll('\u001b', '<esc>');
    expect(screen).toContain('<esc>[2A\r<esc>[Jfile1: queued → cancelled\r\nt2 ');
    expect(screen.endsWith('<esc>[1A\r<esc>[J<esc>[?25h')).toBe(true);
  });
});

describe('events', () => {
  it('are listed by their numbers', async () => {
    const served = await serveFakeAgent();
    await addTransfers(served, 2);
    served.agent.setNetwork({ online: false });
    expect(succeeded(await served.run(['events']))).toMatch(
      /^\S+Z #1 t2 {2}send of .* was added\n\S+Z #2 t3 .*\n\S+Z #3 {2}network is offline\n$/,
    );
    expect(linesOf(await served.run(['events', '--since', '2', '--json']))).toMatchObject([
      { event: 'network.changed', seq: 3, data: { network: { online: false } } },
    ]);
  });

  it('are followed until Ctrl-C, none twice, with a warning about those that are lost', async () => {
    const served = await serveFakeAgent();
    await addTransfers(served, 5);
    served.agent.forgetBefore(4);
    const program = served.start(['events', '--since', '1', '--follow']);
    await program.printed(/#5 /);
    await subscribed(served);
    await addTransfers(served, 1);
    await program.printed(/#6 /);
    const { exitCode, stdout, stderr } = await program.end('SIGINT');
    expect(exitCode).toBe(0);
    expect([...stdout.matchAll(/#(\d+) /g)].map(([, number]) => number)).toEqual(['4', '5', '6']);
    expect(stderr).toBe('Warning: Some events are not kept any more; the oldest one has the number 4.\n');
  });
});

describe('Lines that change in place', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  function terminal(rows: number) {
    let text = '';
    const write = (more: string | Uint8Array): boolean => {
      text += String(more);
      return true;
    };
    const taken = (): string => {
      const all = text;
      text = '';
      return all;
    };
    return { write, columns: 13, rows, take: taken };
  }

  it('are drawn again over themselves, cut to the terminal, and go away', () => {
    vi.useFakeTimers();
    const screen = terminal(24);
    let lines = ['first line that is long', 'second'];
    const live = new LiveLines(screen, () => lines);
    live.changed();
    live.changed();
    vi.runAllTimers();
    expect(screen.take()).toBe('\x1b[?25lfirst line …\nsecond\n');
    lines = ['only'];
    live.changed();
    vi.runAllTimers();
    expect(screen.take()).toBe('\x1b[2A\r\x1b[Jonly\n');
    live.print('a line that stays');
    expect(screen.take()).toBe('\x1b[1A\r\x1b[Ja line that stays\nonly\n');
    live.end();
    expect(screen.take()).toBe('\x1b[1A\r\x1b[J\x1b[?25h');
  });

  it('are no more than fit', () => {
    vi.useFakeTimers();
    const screen = terminal(4);
    const live = new LiveLines(screen, () => ['1', '2', '3', '4', '5']);
    live.changed();
    vi.runAllTimers();
    expect(screen.take()).toBe('\x1b[?25l1\n2\n(and 3 more)\n');
  });
});
