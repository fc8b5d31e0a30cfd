import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { startTestAgent, type TestAgent } from '#src/testing/index.js';

import { outcomeOf } from '../support/agent-outcome.js';
import {
  PACKAGE_FOLDER,
  type ProgramOptions,
  type RunningProgram,
  startCommand,
} from '../support/program.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { digestOf, makeFile } from '../support/transfers.js';

const LINK = /simplex:\/file#\S+/;

interface Place {
  readonly agent: TestAgent;
  /** Empty, and the current folder of the examples. */
  readonly folder: string;
  readonly source: string;
  readonly start: (
    name: string,
    args: readonly string[],
    options?: Pick<ProgramOptions, 'input' | 'interactive'>,
  ) => RunningProgram;
}

async function newPlace(size = 300_000): Promise<Place> {
  const agent = await startTestAgent({ temporaryRoot: await temporaryFolder() });
  onTestFinished(() => agent.stop());
  const folder = await temporaryFolder();
  return {
    agent,
    folder,
    source: await makeFile(await temporaryFolder(), size),
    start: (name, args, options = {}) =>
      startCommand([process.execPath, join(PACKAGE_FOLDER, 'examples', name), ...args], {
        cwd: folder,
        env: { XFTP_AGENT_DATA_DIR: agent.dataDir },
        ...options,
      }),
  };
}

async function sendFrom({ client }: TestAgent, path: string): Promise<string> {
  const { id } = await client.transfers.send({ path });
  await outcomeOf(client, id, 'transfer.completed');
  const { recipients } = await client.transfers.descriptions({ id });
  return recipients[0]?.link ?? '';
}

async function receiveWith({ client }: TestAgent, link: string): Promise<string> {
  const { id } = await client.transfers.receive({ link, fileName: 'back.bin' });
  const { data } = await outcomeOf(client, id, 'transfer.completed');
  return data.transfer.path ?? '';
}

describe('echo-bot.js', () => {
  it('sends back what it gets as an argument, once', async () => {
    const { agent, folder, source, start } = await newPlace();
    const link = await sendFrom(agent, source);
    const first = await start('echo-bot.js', [link]).ended;
    expect(first).toMatchObject({ exitCode: 0, stderr: '' });
    const reply = LINK.exec(first.stdout)?.[0] ?? '';
    expect(reply).not.toBe(link);
    expect(await digestOf(await receiveWith(agent, reply))).toBe(await digestOf(source));
    expect(await readdir(folder)).toEqual(['echo-bot-state.json']);
    const { seq } = JSON.parse(await readFile(join(folder, 'echo-bot-state.json'), 'utf8')) as {
      seq: number;
    };
    expect(seq).toBeGreaterThan(0);

    // The same link again: nothing is received or sent anew.
    const sends = async (): Promise<number> =>
      (await agent.client.transfers.list({ direction: 'send' })).items.length;
    const before = await sends();
    const second = await start('echo-bot.js', [link]).ended;
    expect(second).toMatchObject({ exitCode: 0, stdout: first.stdout });
    expect(await sends()).toBe(before);
  });

  it('goes on when the agent is started again', async () => {
    const { agent, source, start } = await newPlace();
    const link = await sendFrom(agent, source);
    const bot = start('echo-bot.js', [], { interactive: true });
    await agent.client.agent.setNetwork({ online: false });
    const since = (await agent.client.agent.info()).events.newest;
    bot.write(`${link}\n`);
    for await (const event of agent.client.events({ since })) if (event.type === 'transfer.created') break;
    await agent.restart();
    const reply = (await bot.printed(LINK))[0];
    bot.endInput();
    expect(await bot.ended).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await digestOf(await receiveWith(agent, reply))).toBe(await digestOf(source));
  });

  it('says why a link cannot be received', async () => {
    const { start } = await newPlace();
    const { exitCode, stderr } = await start('echo-bot.js', [], { input: 'nonsense\n\n' }).ended;
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^A link cannot be received: .*\.\n$/);
  });
});

describe('Without an agent', () => {
  it.each([
    ['echo-bot.js', ['link']],
    ['send-with-progress.js', ['file']],
    ['plain-websocket.js', ['file', 'folder']],
  ])('%s says so', async (name, args) => {
    const folder = await temporaryFolder();
    const program = startCommand([process.execPath, join(PACKAGE_FOLDER, 'examples', name), ...args], {
      cwd: folder,
      env: { XFTP_AGENT_DATA_DIR: folder },
    });
    const { exitCode, stderr } = await program.ended;
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^No agent is running: .*\. Start it with `xftp-agent start`\.\n$/);
  });
});

describe('send-with-progress.js', () => {
  it('shows states, progress, speed and time left, then a link for each recipient', async () => {
    const { agent, source, start } = await newPlace(6_000_000);
    // Slow enough to see it move.
    await agent.client.settings.set({ uploadLimit: 4_000_000 });
    const { exitCode, stdout, stderr } = await start('send-with-progress.js', [source, '3']).ended;
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(/^Sending sample\.bin, transfer \S+\n/);
    expect(stdout).toMatch(/\nNow preparing\n[^]*Now uploading\n[^]*Now completed\n/);
    expect(stdout).toMatch(/\n\d+ %: [\d.]+ .iB of [\d.]+ MiB, [\d.]+ .iB\/s, \d+ s left\n/);
    expect(stdout).toMatch(/\n1 more recipients cost nothing/);
    const links = [...stdout.matchAll(/simplex:\/file#\S+/g)].map(([link]) => link);
    expect(new Set(links).size).toBe(3);
    expect(await digestOf(await receiveWith(agent, links[2] ?? ''))).toBe(await digestOf(source));
  });

  it('cancels the transfer on Ctrl-C', async () => {
    const { agent, source, start } = await newPlace();
    await agent.client.agent.setNetwork({ online: false });
    const sending = start('send-with-progress.js', [source]);
    await sending.printed(/Waiting for the network/);
    expect((await sending.end('SIGINT')).exitCode).toBe(130);
    const { items } = await agent.client.transfers.list({});
    expect(items).toMatchObject([{ state: 'cancelled' }]);
  });

  it('says why a file cannot be sent', async () => {
    const { folder, start } = await newPlace();
    const { exitCode, stderr } = await start('send-with-progress.js', [join(folder, 'missing')]).ended;
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/\(SOURCE_MISSING\)\n$/);
  });
});

describe('plain-websocket.js', () => {
  it('sends and receives with messages that it shows', async () => {
    const { agent, folder, source, start } = await newPlace();
    const { exitCode, stdout, stderr } = await start('plain-websocket.js', [source, folder]).ended;
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(await digestOf(join(folder, 'sample.bin'))).toBe(await digestOf(source));
    const calls = [...stdout.matchAll(/^--> \{"jsonrpc":"2.0","id":\d+,"method":"([^"]+)"/gm)];
    expect(calls.map(([, method]) => method)).toEqual([
      'events.subscribe',
      'transfers.send',
      'transfers.descriptions',
      'transfers.receive',
      'transfers.revoke',
    ]);
    expect(stdout).toMatch(/^<-- .*"method":"event".*"type":"transfer.completed"/m);
    expect(stdout).toContain(`Received ${join(folder, 'sample.bin')}\n`);
    const { items } = await agent.client.transfers.list({ direction: 'send' });
    expect(items[0]?.revoked).toBeDefined();
  });

  it('tells what the agent refused', async () => {
    const { folder, start } = await newPlace();
    const { exitCode, stderr } = await start('plain-websocket.js', [join(folder, 'missing'), folder]).ended;
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/\(SOURCE_MISSING\)\n$/);
  });
});
