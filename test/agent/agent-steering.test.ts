import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it, vi } from 'vitest';

import { parseDescription } from '#src/protocol/index.js';
import { failing } from '../crypto/expected-failure.js';
import { CALLER, testAgent } from './agent-samples.js';
import { type Setting, setting } from './proxied-agent.js';

const KIB = 1024;

/** Stops at so many bytes of a connection: in the middle of the second chunk, when they go one after another. */
const IN_SECOND_CHUNK = 1500 * KIB;

/** Sends until the second chunk stands still in the middle. */
async function halfSent({ agent, proxy, path }: Setting): Promise<string> {
  agent.setSettings({ chunksPerServer: 1 });
  proxy.setFault({ type: 'stall', direction: 'up', after: IN_SECOND_CHUNK });
  const { id } = await agent.send({ path, redirect: 'never' }, CALLER);
  await proxy.struck();
  await agent.until(() => agent.get(id).chunksDone === 1);
  expect(agent.get(id).state).toBe('uploading');
  return id;
}

/** What the proxy held up is gone. */
function release({ proxy }: Setting): void {
  proxy.setFault();
  proxy.cutAll();
}

async function expectReceived({ agent, content }: Setting, id: string, recipient = 0): Promise<void> {
  const { description } = (await agent.descriptions(id)).recipients[recipient]!;
  const receive = await agent.receive({ description, approveRelays: 'all' }, CALLER);
  const { path = '' } = await agent.reached(receive.id, 'completed');
  expect(readFileSync(path).equals(content)).toBe(true);
}

const snapshots = ({ agent }: Setting): string[] => readdirSync(join(agent.dataDir, 'snapshots'));

describe('a send', () => {
  it('that is paused stands still, and goes on without sending anything twice', async () => {
    const how = await setting();
    const { agent, relay } = how;
    const id = await halfSent(how);
    expect(agent.pause(id).state).toBe('paused');
    release(how);
    expect(() => agent.pause(id)).toThrow(failing('ILLEGAL_STATE'));
    const { chunksDone } = agent.get(id);
    expect(agent.resume(id).state).toBe('queued');
    const { chunksTotal, run } = await agent.reached(id, 'completed');
    expect(chunksDone).toBeLessThan(chunksTotal);
    expect(run).toBe(1);
    const { FNEW, FPUT } = await relay.counts();
    expect(FPUT).toBe(chunksTotal);
    // The next chunk was being registered: if that answer was lost with the connection, it is made again.
    expect(FNEW).toBeGreaterThanOrEqual(chunksTotal);
    expect(FNEW).toBeLessThanOrEqual(chunksTotal + 1);
    await expectReceived(how, id);
  });

  it('that is paused while its chunk is being registered takes the answer, and registers it once', async () => {
    const { agent, relay, proxy, path } = await setting(1000);
    proxy.setFault({ type: 'delay', direction: 'down', ms: 300 });
    const { id } = await agent.send({ path, redirect: 'never' }, CALLER);
    await vi.waitUntil(async () => (await relay.counts()).FNEW === 1, { timeout: 20_000, interval: 5 });
    agent.pause(id);
    proxy.setFault();
    agent.resume(id);
    await agent.reached(id, 'completed');
    expect(await relay.counts()).toMatchObject({ FNEW: 1, FPUT: 1 });
  });

  it('that is revoked after it was cancelled tells when relays have nothing of it any more, once', async () => {
    const how = await setting();
    const { agent, relay, proxy } = how;
    const id = await halfSent(how);
    proxy.setFault({ type: 'cut', direction: 'up', after: 0 });
    proxy.cutAll();
    agent.cancel(id);
    await agent.until(() => agent.info().relayTasks > 0);
    const told = (): unknown[] =>
      agent.events.flatMap(({ type, data }) => (type === 'transfer.deleted' ? [data] : []));
    agent.revoke({ id });
    expect(told()).toEqual([]);
    release(how);
    await agent.until(() => told().length > 0);
    expect([relay.chunks(), agent.info().relayTasks]).toEqual([0, 0]);
    agent.revoke({ id });
    expect(told()).toHaveLength(1);
  });

  it('that is removed while its chunk is being registered takes the answer, and has it deleted', async () => {
    const { agent, relay, proxy, path } = await setting(1000);
    proxy.setFault({ type: 'delay', direction: 'down', ms: 300 });
    const { id } = await agent.send({ path, redirect: 'never' }, CALLER);
    await vi.waitUntil(async () => (await relay.counts()).FNEW === 1, { timeout: 20_000, interval: 5 });
    agent.remove(id, { cancel: true });
    proxy.setFault();
    await vi.waitUntil(async () => (await relay.counts()).FDEL === 1, { timeout: 20_000, interval: 5 });
    expect(agent.errors).toEqual([]);
  });

  it('over a restart of the agent sends no acknowledged chunk twice', async () => {
    const how = await setting();
    const { agent, relay } = how;
    const id = await halfSent(how);
    await agent.stop();
    release(how);
    const acknowledged = (await relay.counts()).FPUT;
    const again = await agent.reopen();
    expect(again.get(id).chunksDone).toBeLessThanOrEqual(acknowledged);
    const { chunksTotal } = await again.reached(id, 'completed');
    expect(acknowledged).toBeGreaterThan(0);
    expect(acknowledged).toBeLessThan(chunksTotal);
    expect((await relay.counts()).FPUT).toBe(chunksTotal);
    expect(relay.chunks()).toBe(chunksTotal);
    await expectReceived({ ...how, agent: again }, id);
    const ends = again.listEvents({ transferId: id, types: ['transfer.completed'], limit: 10 }).events;
    expect(ends).toHaveLength(1);
  });

  it('that is cancelled leaves nothing on the disk nor on the relay, and can be retried', async () => {
    const how = await setting();
    const { agent, relay } = how;
    const id = await halfSent(how);
    expect(snapshots(how)).toEqual([id]);
    expect(agent.cancel(id).state).toBe('cancelled');
    release(how);
    await agent.until(() => relay.chunks() === 0 && agent.info().relayTasks === 0);
    await agent.until(() => snapshots(how).length === 0);
    expect(() => agent.cancel(id)).toThrow(failing('ILLEGAL_STATE'));
    expect(agent.retry(id)).toMatchObject({ state: 'queued', run: 2, chunksDone: 0, bytesDone: 0 });
    await agent.reached(id, 'completed');
    await expectReceived(how, id);
  });

  it('that is removed while it runs is gone at once, with what it left on disk and on the relay', async () => {
    const how = await setting();
    const { agent, relay } = how;
    const id = await halfSent(how);
    expect(() => {
      agent.remove(id);
    }).toThrow(failing('ILLEGAL_STATE'));
    agent.remove(id, { cancel: true });
    expect(() => agent.get(id)).toThrow(failing('NOT_FOUND'));
    release(how);
    await agent.until(() => relay.chunks() === 0 && agent.info().relayTasks === 0);
    await agent.until(() => snapshots(how).length === 0);
    const types = agent.listEvents({ transferId: id, limit: 100 }).events.map(({ type }) => type);
    expect(types.at(-1)).toBe('transfer.removed');
    expect(agent.errors).toEqual([]);
  });

  it('that is removed when it is completed stays on the relay', async () => {
    const how = await setting(10);
    const { agent, relay, path } = how;
    const { id } = await agent.send({ path }, CALLER);
    await agent.reached(id, 'completed');
    agent.remove(id);
    expect([agent.list({ limit: 10 }).items, agent.info().relayTasks]).toEqual([[], 0]);
    expect([relay.chunks(), existsSync(path)]).toEqual([1, true]);
  });

  it('has the priority that it was given last', async () => {
    const how = await setting(10);
    const { agent, path } = how;
    agent.setNetwork({ online: false });
    const { id } = await agent.send({ path, priority: -3 }, CALLER);
    expect(agent.get(id).priority).toBe(-3);
    expect(agent.setPriority(id, 7).priority).toBe(7);
    expect(agent.get(id).priority).toBe(7);
    expect(() => agent.setPriority('none', 1)).toThrow(failing('NOT_FOUND'));
  });
});

describe('recipients', () => {
  it('are added from the spare ones without the relay, and from the relay when these are used up', async () => {
    const how = await setting(10);
    const { agent, relay, path } = how;
    const { id } = await agent.send({ path, recipients: 3 }, CALLER);
    await agent.reached(id, 'completed');
    const before = (await agent.descriptions(id)).recipients;
    const accepted = how.proxy.passed('up');
    const spare = await agent.addRecipients(id, 1);
    expect([spare.recipients.length, spare.spare, how.proxy.passed('up')]).toEqual([4, 0, accepted]);
    const more = await agent.addRecipients(id, 2);
    expect([more.recipients.length, more.spare]).toEqual([6, 2]);
    expect(more.recipients.slice(0, 3)).toEqual(before);
    expect((await relay.counts()).FNEW).toBe(1);
    await expectReceived(how, id, 5);
    const told = agent.listEvents({ transferId: id, types: ['transfer.recipients'], limit: 10 }).events;
    expect(told.map(({ data }) => data)).toEqual([
      { handedOut: 4, spare: 0 },
      { handedOut: 6, spare: 2 },
    ]);
    await expect(agent.addRecipients(id, 10_000)).rejects.toThrow(failing('INVALID_ARGUMENT'));
  });

  it('that are added at the same time are all different ones', async () => {
    const how = await setting(10);
    const { agent, path } = how;
    const { id } = await agent.send({ path }, CALLER);
    await agent.reached(id, 'completed');
    await Promise.all([agent.addRecipients(id, 5), agent.addRecipients(id, 2), agent.addRecipients(id, 1)]);
    expect(agent.get(id).recipients).toEqual({ handedOut: 9, spare: 7 });
    const ids = (await agent.descriptions(id)).recipients.map(({ description }) =>
      Buffer.from(parseDescription(description).chunks[0]!.replicas[0]!.id),
    );
    expect(new Set(ids.map((each) => each.toString('hex'))).size).toBe(9);
    await expectReceived(how, id, 8);
  });

  it('are none before the send is completed, and none of a receive', async () => {
    const how = await setting(10);
    const { agent, path } = how;
    agent.setNetwork({ online: false });
    const { id } = await agent.send({ path }, CALLER);
    await expect(agent.descriptions(id)).rejects.toThrow(failing('ILLEGAL_STATE'));
    await expect(agent.addRecipients(id, 1)).rejects.toThrow(failing('ILLEGAL_STATE'));
  });
});

describe('revoking', () => {
  it('deletes a file on its relay, counts that, and hands out nothing more', async () => {
    const { agent, relay, path } = await setting();
    const { id } = await agent.send({ path, redirect: 'never' }, CALLER);
    const { chunksTotal } = await agent.reached(id, 'completed');
    const { description } = (await agent.descriptions(id)).recipients[0]!;
    expect(agent.revoke({ id })).toEqual({ deletions: chunksTotal });
    expect(agent.get(id).revoked?.pending).toBeGreaterThan(0);
    await agent.until(() => agent.get(id).revoked?.pending === 0);
    expect(relay.chunks()).toBe(0);
    const events = agent.listEvents({ transferId: id, limit: 100 }).events.slice(-2);
    expect(events.map(({ type, data }) => [type, data])).toEqual([
      ['transfer.revoked', { pending: chunksTotal }],
      ['transfer.deleted', { deleted: chunksTotal, failed: 0 }],
    ]);
    await expect(agent.descriptions(id)).rejects.toThrow(failing('ILLEGAL_STATE'));
    await expect(agent.addRecipients(id, 1)).rejects.toThrow(failing('ILLEGAL_STATE'));
    expect(agent.revoke({ id })).toEqual({ deletions: 0 });
    const receive = await agent.receive({ description, approveRelays: 'all' }, CALLER);
    expect((await agent.reached(receive.id, 'failed')).failure?.code).toBe('CHUNK_GONE');
  });

  it('by the sender’s description works in another agent, and not by a recipient’s', async () => {
    const { agent, relay, path } = await setting(10);
    const { id } = await agent.send({ path }, CALLER);
    await agent.reached(id, 'completed');
    const { sender, recipients } = await agent.descriptions(id);
    const other = await testAgent();
    expect(() => other.revoke({ senderDescription: recipients[0]!.description })).toThrow(
      failing('INVALID_DESCRIPTION'),
    );
    expect(() => other.revoke({})).toThrow(failing('INVALID_ARGUMENT'));
    expect(other.revoke({ senderDescription: sender })).toEqual({ deletions: 1 });
    await other.until(() => other.info().relayTasks === 0);
    expect(relay.chunks()).toBe(0);
  });

  it('by the description of a send that the agent knows revokes that send', async () => {
    const { agent, relay, path } = await setting(10);
    const { id } = await agent.send({ path }, CALLER);
    await agent.reached(id, 'completed');
    const { sender } = await agent.descriptions(id);
    expect(agent.revoke({ senderDescription: sender })).toEqual({ deletions: 1 });
    await agent.until(() => agent.get(id).revoked?.pending === 0);
    expect(relay.chunks()).toBe(0);
    await expect(agent.descriptions(id)).rejects.toThrow(failing('ILLEGAL_STATE'));
  });

  it('while the relay is away is done after a restart, when it is back', async () => {
    const how = await setting(10);
    const { agent, relay, proxy, path } = how;
    const { id } = await agent.send({ path }, CALLER);
    await agent.reached(id, 'completed');
    proxy.setFault({ type: 'cut', direction: 'up', after: 0 });
    proxy.cutAll();
    agent.revoke({ id });
    await agent.until(() => agent.listServers()[0]?.gate !== 'open');
    await agent.stop();
    proxy.setFault();
    expect(relay.chunks()).toBe(1);
    const again = await agent.reopen();
    await again.until(() => again.get(id).revoked?.pending === 0);
    expect(relay.chunks()).toBe(0);
  });

  it('of a send that runs cancels it', async () => {
    const how = await setting();
    const { agent, relay } = how;
    const id = await halfSent(how);
    agent.revoke({ id });
    expect(agent.get(id)).toMatchObject({ state: 'cancelled', revoked: expect.anything() as object });
    release(how);
    await agent.until(() => relay.chunks() === 0 && agent.info().relayTasks === 0);
  });
});

describe('a receive', () => {
  /** A sent file, and a receive of which the first chunk has come and the rest stands still. */
  async function halfReceived(how: Setting): Promise<string> {
    const { agent, proxy, path } = how;
    agent.setSettings({ chunksPerServer: 1 });
    const sent = await agent.send({ path }, CALLER);
    await agent.reached(sent.id, 'completed');
    const { description } = (await agent.descriptions(sent.id)).recipients[0]!;
    proxy.setFault({ type: 'stall', direction: 'down', after: IN_SECOND_CHUNK });
    const { id } = await agent.receive({ description }, CALLER);
    await proxy.struck();
    await agent.until(() => agent.get(id).chunksDone === 1);
    expect(agent.get(id).state).toBe('downloading');
    return id;
  }

  it('over a restart of the agent downloads no chunk twice', async () => {
    const how = await setting();
    const { agent, content } = how;
    const id = await halfReceived(how);
    await agent.stop();
    release(how);
    const again = await agent.reopen();
    const { path = '', chunksTotal } = await again.reached(id, 'completed');
    expect(readFileSync(path).equals(content)).toBe(true);
    expect(readdirSync(agent.downloads)).toEqual(['source.bin']);
    const downloads = again.stats()[0]?.actions.find(({ action }) => action === 'download');
    expect(downloads?.successes).toBe(chunksTotal);
  });

  it('that is paused goes on where it was, and one that is removed leaves nothing', async () => {
    const how = await setting();
    const { agent, content } = how;
    const id = await halfReceived(how);
    agent.pause(id);
    release(how);
    expect(readdirSync(agent.downloads)).toEqual([`.${id}.part`]);
    agent.resume(id);
    const { path = '' } = await agent.reached(id, 'completed');
    expect(readFileSync(path).equals(content)).toBe(true);
    agent.remove(id);
    expect(readdirSync(agent.downloads)).toEqual(['source.bin']);
  });

  it('that is removed while it runs leaves nothing', async () => {
    const how = await setting();
    const { agent } = how;
    const id = await halfReceived(how);
    agent.remove(id, { cancel: true });
    release(how);
    await agent.until(() => readdirSync(agent.downloads).length === 0);
    expect(agent.errors).toEqual([]);
  });
});
