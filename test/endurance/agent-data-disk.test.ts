import { mkdirSync, symlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { type AgentClient, connectAgent } from '#src/sdk/index.js';

import { startFaultProxy } from '../support/fault-proxy.js';
import { commandOf, type RunningProgram, startCommand } from '../support/program.js';
import { canMount, programOnSmallDisk, type ProgramOnSmallDisk } from '../support/small-disk.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { digestOf, makeFile } from '../support/transfers.js';
import { loopbackRelay, throughPort } from '../faults/agent-fault-samples.js';

const FULL = expect.stringMatching(/^The database .*agent\.sqlite cannot be written: its disk is full\.$/);

/** An agent whose data folder, or its folder of copies alone, is on a small disk. */
async function agentOnSmallDisk(
  server: string,
  what: 'data' | 'copies' = 'data',
): Promise<ProgramOnSmallDisk & { readonly client: AgentClient }> {
  const home = await temporaryFolder();
  const program = await programOnSmallDisk('xftp-agent', { bytes: 8_388_608 }, (disk) => {
    const dataDir = join(what === 'data' ? disk : home, 'data');
    if (what === 'copies') {
      mkdirSync(dataDir, { mode: 0o700 });
      symlinkSync(disk, join(dataDir, 'snapshots'));
    }
    return {
      args: ['start', '--downloads', home, '--listen', '127.0.0.1:0', '--server', server],
      options: { env: { XFTP_AGENT_DATA_DIR: dataDir, HOME: home } },
    };
  });
  const [, url = ''] = await program.printed(/Listening on (ws:\S+)/);
  const [, dataDir = ''] = await program.printed(/data folder (\S+)/);
  // The disk is there for the program alone, but its process shows it.
  const token = (await readFile(`/proc/${String(program.pid)}/root${dataDir}/token`, 'utf8')).trim();
  const client = await connectAgent({ endpoint: { url, token } });
  onTestFinished(() => client.close());
  return { ...program, client };
}

async function reached(client: AgentClient, id: string, state: string): Promise<void> {
  await expect.poll(async () => (await client.transfers.get({ id })).state, { timeout: 30_000 }).toBe(state);
}

describe('A disk with the data folder that becomes full', () => {
  it('while relays have to be told something: calls say so, the agent stays and goes on when there is room', async ({
    skip,
  }) => {
    skip(!canMount(await temporaryFolder()), 'Nobody may mount a disk here.');
    const relay = await loopbackRelay();
    const proxy = await startFaultProxy(Number(/:(\d+)$/.exec(relay.address)?.[1]));
    const agent = await agentOnSmallDisk(throughPort(relay.address, proxy.port));
    const { client } = agent;
    const path = await makeFile(await temporaryFolder(), 1000);
    const { id } = await client.transfers.send({ path, redirect: 'never' });
    await reached(client, id, 'completed');
    proxy.cutAll();
    proxy.setFault({ type: 'stall', direction: 'down', after: 0 });
    await client.transfers.revoke({ id });
    await proxy.struck();
    const free = await agent.fillForAWhile();
    await expect(client.settings.set({ eventDays: 3 })).rejects.toMatchObject({
      code: 'DISK_FULL',
      message: FULL,
    });
    proxy.setFault();
    await agent.printed(/cannot be written: its disk is full/);
    // It answers, and does not fill the log.
    for (let go = 0; go < 20; go += 1) await client.agent.info();
    expect(agent.output().stderr.match(/its disk is full/g)).toHaveLength(1);
    expect((await client.agent.info()).relayTasks).toBe(1);
    await free();
    await expect.poll(async () => (await client.agent.info()).relayTasks, { timeout: 25_000 }).toBe(0);
  });

  it('while files are sent: the agent stays, says why once, and completes them when there is room', async ({
    skip,
  }) => {
    skip(!canMount(await temporaryFolder()), 'Nobody may mount a disk here.');
    const relay = await loopbackRelay();
    const proxy = await startFaultProxy(Number(/:(\d+)$/.exec(relay.address)?.[1]));
    proxy.setFault({ type: 'stall', direction: 'down', after: 0 });
    const agent = await agentOnSmallDisk(throughPort(relay.address, proxy.port));
    const { client } = agent;
    const path = await makeFile(await temporaryFolder(), 1000);
    const ids: string[] = [];
    for (let go = 0; go < 3; go += 1) ids.push((await client.transfers.send({ path, redirect: 'never' })).id);
    await proxy.struck();
    const free = await agent.fillForAWhile();
    await expect(client.transfers.send({ path })).rejects.toMatchObject({ code: 'DISK_FULL' });
    proxy.setFault();
    await agent.printed(/cannot be written: its disk is full/);
    await expect(client.transfers.pause({ id: ids[0] ?? '' })).rejects.toMatchObject({
      code: 'DISK_FULL',
      message: FULL,
    });
    expect(agent.output().stderr.match(/its disk is full/g)).toHaveLength(1);
    await free();
    for (const id of ids) await reached(client, id, 'completed');
    expect(agent.output().stderr).not.toMatch(/^ +at /m);
  });

  it('while a send stores its link: the send waits for the disk, and is completed when there is room', async ({
    skip,
  }) => {
    skip(!canMount(await temporaryFolder()), 'Nobody may mount a disk here.');
    const relay = await loopbackRelay();
    const agent = await agentOnSmallDisk(relay.address, 'copies');
    const { client } = agent;
    const free = await agent.fillForAWhile();
    const path = await makeFile(await temporaryFolder(), 1000);
    const { id } = await client.transfers.send({ path, snapshot: false, redirect: 'always' });
    await reached(client, id, 'waiting');
    expect(await client.transfers.get({ id })).toMatchObject({
      waitingReason: 'disk',
      failure: { code: 'DISK_FULL' },
      chunksDone: 1,
      chunksTotal: 1,
    });
    await free();
    await reached(client, id, 'completed');
    const { link = '' } = (await client.transfers.descriptions({ id })).recipients[0] ?? {};
    const { id: receiving } = await client.transfers.receive({ link, approveRelays: 'all' });
    await reached(client, receiving, 'completed');
    const { path: copy = '' } = await client.transfers.get({ id: receiving });
    expect(await digestOf(copy)).toBe(await digestOf(path));
  });

  it('lets the agent stop within its time', async ({ skip }) => {
    skip(!canMount(await temporaryFolder()), 'Nobody may mount a disk here.');
    const relay = await loopbackRelay();
    const proxy = await startFaultProxy(Number(/:(\d+)$/.exec(relay.address)?.[1]));
    proxy.setFault({ type: 'stall', direction: 'down', after: 0 });
    const agent = await agentOnSmallDisk(throughPort(relay.address, proxy.port));
    const path = await makeFile(await temporaryFolder(), 1000);
    await agent.client.transfers.send({ path, redirect: 'never' });
    await proxy.struck();
    const free = await agent.fillForAWhile();
    proxy.setFault();
    await agent.printed(/cannot be written: its disk is full/);
    await agent.client.agent.shutdown();
    await agent.printed(/Stopped\./);
    await free();
    expect((await agent.ended).exitCode).toBe(0);
  });

  it('ends the next start with a sentence and the exit code of a full disk', async ({ skip }) => {
    skip(process.getuid?.() !== 0 || !canMount(await temporaryFolder()), 'Only root enters mounts here.');
    const relay = await loopbackRelay();
    const agent = await agentOnSmallDisk(relay.address);
    const { pid, dataDir } = await agent.client.agent.info();
    const free = await agent.fillForAWhile();
    process.kill(pid, 'SIGKILL');
    await agent.client.close();
    // Enters the disk too, since the agent's own way to it ends with the agent.
    const enter = (pid: number): string[] => ['nsenter', '--mount', `--target=${String(pid)}`];
    const holder = startCommand([...enter(agent.pid), 'sh', '-c', 'echo entered; exec cat'], {
      interactive: true,
    });
    await holder.printed(/entered/);
    const again = (): RunningProgram =>
      startCommand([
        ...enter(holder.pid),
        ...commandOf('xftp-agent', ['start', '--data-dir', dataDir, '--listen', '127.0.0.1:0']),
      ]);
    const { exitCode, stderr } = await again().ended;
    expect([exitCode, stderr]).toEqual([44, expect.stringMatching(/disk .*full.*\.\n$/)]);
    expect(stderr).not.toMatch(/^ +at /m);
    await free();
    const restarted = again();
    await restarted.printed(/Listening on/);
    expect((await restarted.end('SIGTERM')).exitCode).toBe(0);
  });
});
