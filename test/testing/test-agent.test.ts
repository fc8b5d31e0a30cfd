import { randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { connectAgent } from '#src/sdk/index.js';
import { startTestAgent, startTestRelay, type TestAgent, type TestAgentOptions } from '#src/testing/index.js';

import { outcomeOf } from '../support/agent-outcome.js';
import { temporaryFolder } from '../support/temporary-folder.js';

async function newAgent(options: TestAgentOptions = {}): Promise<TestAgent> {
  const agent = await startTestAgent({ temporaryRoot: await temporaryFolder(), ...options });
  onTestFinished(() => agent.stop());
  return agent;
}

async function newSource(): Promise<{ path: string; content: Buffer }> {
  const path = join(await temporaryFolder(), 'sample.bin');
  const content = randomBytes(300_000);
  await writeFile(path, content);
  return { path, content };
}

async function sendFrom({ client }: TestAgent, path: string): Promise<string> {
  const { id } = await client.transfers.send({ path });
  expect(await outcomeOf(client, id)).toMatchObject({ type: 'transfer.completed' });
  const { recipients } = await client.transfers.descriptions({ id });
  return recipients[0]?.link ?? '';
}

describe('startTestAgent', () => {
  it('gives an agent with a relay of its own, and removes everything', async () => {
    const temporaryRoot = await temporaryFolder();
    const agent = await newAgent({ temporaryRoot });
    const { path, content } = await newSource();
    const link = await sendFrom(agent, path);
    const received = await agent.client.transfers.receive({ link });
    const outcome = await outcomeOf(agent.client, received.id);
    expect(outcome.data.transfer.path).toBe(join(agent.downloadsDir, 'sample.bin'));
    expect(await readFile(join(agent.downloadsDir, 'sample.bin'))).toEqual(content);
    expect(await readdir(temporaryRoot)).toHaveLength(2);

    await Promise.all([agent.stop(), agent.stop()]);
    expect(await readdir(temporaryRoot)).toEqual([]);
    await expect(agent.restart()).rejects.toMatchObject({ code: 'ILLEGAL_STATE' });
  });

  it('is found by its data folder and by its endpoint', async () => {
    const agent = await newAgent();
    for (const options of [{ dataDir: agent.dataDir }, { endpoint: agent.endpoint }]) {
      const client = await connectAgent(options);
      expect(await client.agent.info()).toMatchObject({ dataDir: agent.dataDir });
      await client.close();
    }
  });

  it('shares a relay with others; a relay that it does not know has to be approved', async () => {
    const temporaryRoot = await temporaryFolder();
    const relay = await startTestRelay({ temporaryRoot });
    onTestFinished(relay.stop);
    const sender = await newAgent({ relays: [relay] });
    const friend = await newAgent({ relays: [relay.address] });
    const stranger = await newAgent({ relays: [] });
    expect(stranger.relays).toEqual([]);
    const { path, content } = await newSource();
    const link = await sendFrom(sender, path);
    expect(relay.usedBytes()).toBeGreaterThan(content.length);

    const known = await friend.client.transfers.receive({ link });
    expect(await outcomeOf(friend.client, known.id)).toMatchObject({ type: 'transfer.completed' });
    const unknown = await stranger.client.transfers.receive({ link });
    expect(await outcomeOf(stranger.client, unknown.id)).toMatchObject({ type: 'transfer.approval' });
    await stranger.client.transfers.approve({ id: unknown.id });
    expect(await outcomeOf(stranger.client, unknown.id, 'transfer.completed')).toMatchObject({
      data: { transfer: { fileName: 'sample.bin' } },
    });
  });

  it('goes on after a restart, and its client with it', async () => {
    const agent = await newAgent();
    const { path } = await newSource();
    await agent.client.agent.setNetwork({ online: false });
    const { id } = await agent.client.transfers.send({ path });
    const before = agent.endpoint.url;
    await agent.restart();
    expect(agent.endpoint.url).not.toBe(before);
    expect(await outcomeOf(agent.client, id)).toMatchObject({ type: 'transfer.completed' });
  });

  it('ends when a client asks for it', async () => {
    const agent = await newAgent();
    const events = agent.client.events();
    await agent.client.agent.shutdown();
    await agent.client.close();
    expect(await events.next()).toMatchObject({ done: true });
    await agent.stop();
    await expect(connectAgent({ endpoint: agent.endpoint })).rejects.toMatchObject({
      code: 'AGENT_UNREACHABLE',
    });
  });

  it('leaves nothing behind when it cannot start', async () => {
    const temporaryRoot = await temporaryFolder();
    await expect(startTestAgent({ temporaryRoot, relays: ['nonsense'] })).rejects.toMatchObject({
      code: 'INVALID_ADDRESS',
    });
    expect(await readdir(temporaryRoot)).toEqual([]);
  });
});

describe('startTestRelay', () => {
  it('can have a password and little room', async () => {
    const relay = await startTestRelay({
      temporaryRoot: await temporaryFolder(),
      createPassword: 'secret',
      storageQuota: 200_000,
    });
    onTestFinished(relay.stop);
    const { path } = await newSource();
    const allowed = await newAgent({ relays: [relay] });
    const { id } = await allowed.client.transfers.send({ path });
    expect(await outcomeOf(allowed.client, id)).toMatchObject({
      type: 'transfer.failed',
      data: { failure: { code: 'RELAY_FULL' } },
    });
    const refused = await newAgent({ relays: [relay.address.replace(':secret@', '@')] });
    const second = await refused.client.transfers.send({ path });
    expect(await outcomeOf(refused.client, second.id)).toMatchObject({
      type: 'transfer.failed',
      data: { failure: { code: 'RELAY_REFUSED' } },
    });
  });
});
