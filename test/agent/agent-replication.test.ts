import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it, vi } from 'vitest';

import { eagerAgent, eventsOf, expectSame, startReceive } from '../faults/agent-fault-samples.js';
import { agentProcess } from '../support/agent-process.js';
import { CALLER, type TestAgent } from './agent-samples.js';
import {
  addressesOf,
  FIVE_CHUNKS,
  held,
  type MortalRelay,
  mortalRelays,
  portsOf,
  sourceOf,
} from './replica-samples.js';
import { makeFile } from '../support/transfers.js';

const snapshotsOf = ({ dataDir }: { dataDir: string }): string[] => readdirSync(join(dataDir, 'snapshots'));

/** A completed send on one relay; the other one is dead, so its copies are still to come. */
async function halfDone(): Promise<{ agent: TestAgent; id: string; alive: MortalRelay; dead: MortalRelay }> {
  const [alive, dead] = (await mortalRelays(2)) as [MortalRelay, MortalRelay];
  dead.die();
  const agent = await eagerAgent({ servers: addressesOf([alive, dead]) });
  const path = await sourceOf(agent);
  const { id } = await agent.send({ path, replicas: 2, replicasRequired: 1, redirect: 'never' }, CALLER);
  await agent.reached(id, 'completed');
  return { agent, id, alive, dead };
}

describe('the copies that a completed send does not wait for', () => {
  it('follow when their relay is back, and the copy of the source is kept until then', async () => {
    const { agent, id, alive, dead } = await halfDone();
    rmSync(agent.get(id).path ?? '');
    expect(agent.get(id).replicas).toEqual({ wanted: 2, required: 1, complete: 1 });
    expect(snapshotsOf(agent)).toHaveLength(1);
    dead.revive();
    await agent.until(() => eventsOf(agent, id, 'transfer.replicated').length === 1);
    expect(eventsOf(agent, id, 'transfer.replicated')[0]?.data).toEqual({
      wanted: 2,
      complete: 2,
      uploaded: 10,
      missing: 0,
    });
    expect([alive.chunks(), dead.chunks()]).toEqual([5, 5]);
    await agent.until(() => snapshotsOf(agent).length === 0);
    const [recipient] = (await agent.descriptions(id)).recipients;
    for (const ports of portsOf(recipient?.description ?? '')) expect(ports).toHaveLength(2);
  });

  it('are as many as there can be when there are fewer relays than wanted', async () => {
    const relays = await mortalRelays(3);
    const agent = await eagerAgent({ servers: addressesOf(relays) });
    const path = await sourceOf(agent);
    const { id } = await agent.send({ path, replicas: 5, replicasRequired: 1, redirect: 'never' }, CALLER);
    await agent.until(() => eventsOf(agent, id, 'transfer.replicated').length === 1);
    expect(eventsOf(agent, id, 'transfer.replicated')[0]?.data).toMatchObject({
      wanted: 5,
      uploaded: 15,
      missing: 10,
      failure: { code: 'INVALID_ARGUMENT' },
    });
    expect(relays.map((relay) => relay.chunks())).toEqual([5, 5, 5]);
  });

  it('are named by descriptions that were handed out before, after those that are there', async () => {
    const relays = (await mortalRelays(2)) as [MortalRelay, MortalRelay];
    const agent = await eagerAgent({ servers: addressesOf(relays) });
    const path = await sourceOf(agent, 1000);
    // Slow enough that the description is there long before the other copy.
    relays.forEach(({ proxy }) => {
      proxy.setFault({ type: 'slow', direction: 'up', bytesPerSecond: 200_000 });
    });
    const { id } = await agent.send({ path, replicas: 2, replicasRequired: 1, redirect: 'never' }, CALLER);
    await agent.reached(id, 'completed');
    const { description } = (await agent.descriptions(id)).recipients[0] ?? { description: '' };
    expect(eventsOf(agent, id, 'transfer.replicated')).toEqual([]);
    expect(portsOf(description)).toHaveLength(1);
    expect(portsOf(description)[0]).toHaveLength(2);
    relays.forEach(({ proxy }) => {
      proxy.setFault();
    });
    await agent.until(() => eventsOf(agent, id, 'transfer.replicated').length === 1);
    // Only the relay that got its copy later is left.
    const first = portsOf(description)[0]?.[0];
    relays.find(({ proxy }) => proxy.port === first)?.die();
    const { id: receiving } = await startReceive(agent, description);
    await expectSame(agent, id, receiving);
  });

  it('follow after the agent was killed, and no acknowledged upload is sent again', async () => {
    const [alive, dead] = (await mortalRelays(2)) as [MortalRelay, MortalRelay];
    dead.die();
    const agent = await agentProcess(addressesOf([alive, dead]));
    await agent.start();
    const client = await agent.connect();
    const path = await makeFile(agent.downloadsDir, FIVE_CHUNKS);
    const { id } = await client.transfers.send({ path, replicas: 2, replicasRequired: 1, redirect: 'never' });
    await vi.waitUntil(async () => (await client.transfers.get({ id })).state === 'completed', 20_000);
    await agent.kill();
    dead.revive();
    // Killed once more while it is at it, perhaps.
    await agent.start();
    await vi.waitUntil(async () => (await dead.counts()).FPUT > 0, 20_000);
    await agent.kill();
    await agent.start();
    await vi.waitUntil(async () => (await client.transfers.get({ id })).replicas?.complete === 2, 20_000);
    expect((await alive.counts()).FPUT).toBe(5);
    // One that was acknowledged may not have been recorded when the agent was killed; it is not acknowledged twice.
    expect(dead.chunks()).toBe(5);
    await vi.waitUntil(() => snapshotsOf(agent).length === 0, 20_000);
  });

  it('do not come any more when the file was revoked', async () => {
    const { agent, id, alive, dead } = await halfDone();
    agent.revoke({ id });
    dead.revive();
    await agent.until(() => held([alive, dead]) === 0 && snapshotsOf(agent).length === 0);
    expect(agent.get(id).replicas).toMatchObject({ complete: 0 });
    await agent.until(() => agent.info().relayTasks === 0);
    expect(eventsOf(agent, id, 'transfer.replicated')).toEqual([]);
  });

  it('are given up when the transfer is removed', async () => {
    const { agent, id, alive, dead } = await halfDone();
    agent.remove(id);
    await agent.until(() => snapshotsOf(agent).length === 0);
    dead.revive();
    expect([alive.chunks(), dead.chunks()]).toEqual([5, 0]);
    expect(agent.errors).toEqual([]);
  });

  it('are given up at the deadline, with what is missing', async () => {
    const { agent, id, alive, dead } = await halfDone();
    const { deadline } = agent.get(id);
    // Deadlines are looked at when the agent starts, too.
    const later = await agent.reopen({
      clock: { now: () => deadline + 1, monotonic: () => performance.now() },
    });
    await later.until(() => snapshotsOf(later).length === 0);
    const events = later.listEvents({ types: ['transfer.replicated'], limit: 10 }).events;
    expect(events.map(({ data }) => data)).toMatchObject([
      { wanted: 2, complete: 1, uploaded: 5, missing: 5, failure: { code: 'DEADLINE_PASSED' } },
    ]);
    dead.revive();
    expect([alive.chunks(), dead.chunks()]).toEqual([5, 0]);
  });
});

describe('recipients that are added while copies are still to come', () => {
  it('can use all of them', async () => {
    const { agent, id, alive, dead } = await halfDone();
    const { recipients } = await agent.addRecipients(id, 2);
    expect(recipients).toHaveLength(3);
    dead.revive();
    await agent.until(() => agent.get(id).replicas?.complete === 2);
    alive.die();
    const { description } = (await agent.descriptions(id)).recipients[2] ?? { description: '' };
    const { id: receiving } = await startReceive(agent, description);
    await expectSame(agent, id, receiving);
  });
});
