import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import type { SendParams } from '#src/agent/index.js';

import { startSocksServer } from '../support/socks-server.js';
import { CALLER, type TestAgent, testAgent } from './agent-samples.js';
import { countedRelay } from './relay-samples.js';

const KIB = 1024;

async function send(agent: TestAgent, size: number, params: Partial<SendParams> = {}): Promise<string> {
  const path = join(agent.folder, `${randomBytes(4).toString('hex')}.bin`);
  writeFileSync(path, randomBytes(size));
  return (await agent.send({ path, redirect: 'never', ...params }, CALLER)).id;
}

async function descriptionOf(agent: TestAgent, id: string): Promise<string> {
  await agent.reached(id, 'completed');
  return (await agent.descriptions(id)).recipients[0]!.description;
}

/** Bytes of the encrypted files per second, from when the first began to move to when the last was done. */
function rateOf(agent: TestAgent, ids: readonly string[], moving: 'uploading' | 'downloading'): number {
  const times = agent.events.flatMap((event) =>
    event.type === 'transfer.state' &&
    ids.includes(event.transferId) &&
    [moving, 'completed'].includes(event.data.to)
      ? [event.at]
      : [],
  );
  const bytes = ids.reduce((sum, id) => sum + (agent.get(id).encryptedSize ?? 0), 0);
  const rate = (bytes * 1000) / (Math.max(...times) - Math.min(...times));
  process.stdout.write(`${moving}: ${String(Math.round(rate / 1000))} kB/s.\n`);
  return rate;
}

describe('Limits', () => {
  it('of a transfer and of all together hold, for uploads and downloads of several chunks at once', async () => {
    const relay = await countedRelay();
    const agent = await testAgent({ servers: [relay.address] });
    // 5 % above what is allowed is told from a rate that is held; a busy machine is slower than it might be.
    const within = (rate: number, limit: number): void => {
      expect(rate / limit).toBeLessThan(1.05);
      expect(rate / limit).toBeGreaterThan(0.2);
    };
    const alone = await send(agent, 600 * KIB, { limit: 300_000 });
    expect(agent.get(alone).limit).toBe(300_000);
    const description = await descriptionOf(agent, alone);
    within(rateOf(agent, [alone], 'uploading'), 300_000);
    const received = (await agent.receive({ description, limit: 300_000 }, CALLER)).id;
    await agent.reached(received, 'completed');
    within(rateOf(agent, [received], 'downloading'), 300_000);

    agent.setSettings({ uploadLimit: 600_000, downloadLimit: 600_000 });
    const both = await Promise.all([
      send(agent, 600 * KIB),
      send(agent, 600 * KIB, { isolation: 'chunk' }),
      send(agent, 60 * KIB, { limit: 5_000_000 }),
    ]);
    for (const id of both) await agent.reached(id, 'completed');
    within(rateOf(agent, both, 'uploading'), 600_000);
  });

  it('of a transfer is changed while its chunks move, without waiting for what is under way', async () => {
    const relay = await countedRelay();
    const agent = await testAgent({ servers: [relay.address] });
    // Ten minutes at this rate; a piece of one chunk takes longer than the test may.
    const id = await send(agent, 60 * KIB, { limit: 100 });
    await agent.reached(id, 'uploading');
    expect(agent.setLimit(id, null).limit).toBeUndefined();
    const description = await descriptionOf(agent, id);
    const received = (await agent.receive({ description, limit: 100 }, CALLER)).id;
    await agent.reached(received, 'downloading');
    expect(agent.setLimit(received, 10_000_000).limit).toBe(10_000_000);
    await agent.reached(received, 'completed');
  });

  it('and isolation of a transfer are there after a restart', async () => {
    const agent = await testAgent({ servers: [] });
    agent.setNetwork({ online: false });
    const servers = [`xftp://${'A'.repeat(43)}=@relay.invalid`];
    const id = await send(agent, 10, { servers, limit: 1234, isolation: 'transfer' });
    const again = await agent.reopen();
    expect(again.get(id)).toMatchObject({ limit: 1234, isolation: 'transfer' });
  });
});

it.each([
  ['transfer', 'server', [4, 1]],
  ['chunk', 'transfer', [4, 4]],
] as const)(
  "With the setting %s a transfer's own isolation can be stricter, not weaker than it: %s",
  async (setting, own, counts) => {
    const relay = await countedRelay();
    const proxy = await startSocksServer({ target: () => relay.port });
    const agent = await testAgent({ servers: [relay.address] });
    agent.setSettings({ socksProxy: `127.0.0.1:${String(proxy.port)}`, isolation: setting });
    const circuits = async (isolation: SendParams['isolation']): Promise<number> => {
      const before = proxy.requests.length;
      const id = await send(agent, 600 * KIB, isolation === undefined ? {} : { isolation });
      const { chunksTotal } = await agent.reached(id, 'completed');
      expect(chunksTotal).toBe(4);
      return new Set(proxy.requests.slice(before).map(({ user }) => user)).size;
    };
    expect([await circuits('chunk'), await circuits(own)]).toEqual(counts);
    // Two weaker ones share nothing with each other either.
    const users = new Set(proxy.requests.map(({ user }) => user)).size;
    await circuits('server');
    expect(new Set(proxy.requests.map(({ user }) => user)).size).toBe(users + counts[1]);
  },
);

it('Deletions share as little as their transfer did, also when that is removed; those of others share', async () => {
  const relay = await countedRelay();
  const proxy = await startSocksServer({ target: () => relay.port });
  const agent = await testAgent({ servers: [relay.address] });
  agent.setSettings({ socksProxy: `127.0.0.1:${String(proxy.port)}` });
  const isolated = await send(agent, 600 * KIB, { isolation: 'chunk' });
  const usual = await send(agent, 600 * KIB);
  for (const id of [isolated, usual]) await agent.reached(id, 'completed');
  const circuits = (): Set<string> => new Set(proxy.requests.map(({ user }) => user));
  const before = circuits().size;
  expect(before).toBe(5);
  agent.revoke({ id: isolated });
  agent.remove(isolated);
  await agent.until(() => relay.chunks() === 4);
  expect(circuits().size).toBe(before + 4);
  agent.revoke({ id: usual });
  await agent.until(() => relay.chunks() === 0);
  expect(circuits().size).toBe(before + 4);
});

describe('Approval', () => {
  it('is needed for relays that are in the list for sending only, and told with them and the reason', async () => {
    const [known, sending] = [await countedRelay(), await countedRelay()];
    const agent = await testAgent({ servers: [known.address] });
    const listed = agent.addServer({ address: sending.address, roles: ['upload'] });
    agent.setSettings({ approveRelays: 'ask' });
    const description = await descriptionOf(agent, await send(agent, 10, { servers: [sending.address] }));
    expect(agent.inspect({ description }).servers).toMatchObject([{ known: false }]);
    await expect(agent.receive({ description, approveRelays: 'known' }, CALLER)).rejects.toThrow(
      /not approve for downloads/,
    );
    const { id } = await agent.receive({ description }, CALLER);
    const { approval } = await agent.reached(id, 'awaiting_approval');
    expect(approval?.servers).toEqual([listed.address]);
    const told = agent.events.find(({ type }) => type === 'transfer.approval');
    expect(told).toMatchObject({
      transferId: id,
      data: { servers: [listed.address], reason: approval?.reason },
    });
    expect((await sending.counts()).FACK).toBe(0);
    agent.approve(id);
    await agent.reached(id, 'completed');
    agent.updateServer(listed.id, { roles: ['download-approved'] });
    const again = await descriptionOf(agent, await send(agent, 10, { servers: [sending.address] }));
    await agent.reached((await agent.receive({ description: again }, CALLER)).id, 'completed');
    // Without the role, and without being named, it gets no chunks.
    const chunks = sending.chunks();
    for (let index = 0; index < 6; index += 1) await agent.reached(await send(agent, 10), 'completed');
    expect(sending.chunks()).toBe(chunks);
  });
});
