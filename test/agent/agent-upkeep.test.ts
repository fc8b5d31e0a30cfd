import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import type { ServerTestResult } from '#src/agent/model.js';
import { startFaultProxy } from '../support/fault-proxy.js';
import { CALLER, fakeClock, type TestAgent, testAgent } from './agent-samples.js';
import { countedRelay } from './relay-samples.js';

const DAY_MS = 24 * 3600_000;
/** Longer than a disk takes for a flush, in ms. */
const FLUSH_MS = 500;
const ALL_STEPS = 'name tcp tls identity handshake create upload download compare delete'.split(' ');

async function sentFile(agent: TestAgent, name: string, size = 10): Promise<string> {
  const path = join(agent.folder, name);
  writeFileSync(path, randomBytes(size));
  const { id } = await agent.send({ path, redirect: 'never' }, CALLER);
  return id;
}

/** The steps, the failing one with its code. */
function walked({ steps }: ServerTestResult): string[] {
  return steps.map(({ step, failure }) => (failure === undefined ? step : `${step}: ${failure.code}`));
}

describe('the test of a server', () => {
  it('walks all the way that a file goes and leaves nothing behind', async () => {
    const relay = await countedRelay();
    const agent = await testAgent();
    const result = await agent.testServer(relay.address);
    expect([result.ok, result.address]).toEqual([true, relay.address]);
    expect(walked(result)).toEqual(ALL_STEPS);
    for (const { ms } of result.steps) expect(ms).toBeGreaterThanOrEqual(0);
    expect(await relay.counts()).toMatchObject({ FNEW: 1, FPUT: 1, FDEL: 1 });
    expect(relay.chunks()).toBe(0);
  });

  it('ends with the step that fails, and says why', async () => {
    const strict = await countedRelay({ createPassword: 'secret' });
    const proxy = await startFaultProxy(strict.port);
    const agent = await testAgent();
    const [scheme = '', rest = ''] = strict.address.split('//');
    const [, place = ''] = rest.split('@');
    const otherFingerprint = randomBytes(32).toString('base64url') + '=';
    const opened = ALL_STEPS.slice(0, ALL_STEPS.indexOf('create'));

    expect(walked(await agent.testServer(strict.address))).toEqual([...opened, 'create: RELAY_REFUSED']);
    const stranger = `${scheme}//${otherFingerprint}@${place}`;
    expect(walked(await agent.testServer(stranger))).toEqual([
      'name',
      'tcp',
      'tls',
      'identity: IDENTITY_MISMATCH',
    ]);
    proxy.setFault({ type: 'cut', direction: 'down', after: 0 });
    const cut = strict.address.replace(`:${String(strict.port)}`, `:${String(proxy.port)}`);
    expect(walked(await agent.testServer(cut))).toEqual(['name', 'tcp', 'tls: CONNECT_FAILED']);
    const onion = `${scheme}//${otherFingerprint}@${'a'.repeat(56)}.onion`;
    expect(walked(await agent.testServer(onion))).toEqual(['name: TOR_REQUIRED']);
    await strict.stop();
    expect(walked(await agent.testServer(strict.address))).toEqual(['name', 'tcp: CONNECT_FAILED']);
  });
});

describe('a test of a server that works', () => {
  it('ends the wait of what that server has failed', async () => {
    const relay = await countedRelay();
    const proxy = await startFaultProxy(relay.port);
    const address = relay.address.replace(`:${String(relay.port)}`, `:${String(proxy.port)}`);
    const agent = await testAgent({ servers: [address], gatePauses: { firstMs: DAY_MS, longestMs: DAY_MS } });
    proxy.setFault({ type: 'cut', direction: 'down', after: 0 });
    const id = await sentFile(agent, 'waits');
    await agent.reached(id, 'waiting');
    expect((await agent.testServer(address)).ok).toBe(false);
    expect(agent.get(id).state).toBe('waiting');
    proxy.setFault();
    expect((await agent.testServer(address)).ok).toBe(true);
    await agent.reached(id, 'completed');
  });
});

describe('a change of the server list', () => {
  it.each([
    ['is added', (agent: TestAgent, address: string) => agent.addServer({ address })],
    [
      'may take files',
      (agent: TestAgent) => agent.updateServer(agent.listServers()[1]!.id, { enabled: true }),
    ],
  ])('lets a send that waits go to a server that %s', async (_, change) => {
    const [dead, alive] = [await countedRelay(), await countedRelay()];
    await dead.stop();
    const gatePauses = { firstMs: DAY_MS, longestMs: DAY_MS };
    const agent = await testAgent({ servers: [dead.address, alive.address], gatePauses });
    agent.updateServer(agent.listServers()[1]!.id, { enabled: false });
    const id = await sentFile(agent, 'waits');
    await agent.reached(id, 'waiting');
    change(agent, alive.address);
    await agent.reached(id, 'completed');
    expect(alive.chunks()).toBe(1);
  });
});

describe('a server list without a server for a moment', () => {
  it('does not end a send that has begun', async () => {
    const relay = await countedRelay();
    const agent = await testAgent({ servers: [relay.address] });
    agent.setSettings({ chunksPerServer: 1, uploadLimit: 700_000 });
    const id = await sentFile(agent, 'long', 700_000);
    await agent.until(() => agent.get(id).chunksDone > 0);
    agent.removeServer(agent.listServers()[0]!.id);
    const { chunksDone } = agent.get(id);
    await agent.until(() => agent.get(id).chunksDone > chunksDone);
    agent.addServer({ address: relay.address });
    await agent.reached(id, 'completed');
  });
});

describe('what the agent is started with', () => {
  it('adds servers, and leaves alone what was made of them since', async () => {
    const [one, two] = [await countedRelay(), await countedRelay()];
    const agent = await testAgent({ servers: [one.address, two.address] });
    agent.updateServer(agent.listServers()[0]?.id ?? 0, { enabled: false });
    const again = await agent.reopen();
    expect(again.listServers().map(({ enabled }) => enabled)).toEqual([false, true]);
  });

  it('is a token for this user, and another one when that is revoked', async () => {
    const agent = await testAgent();
    const token = (): string => readFileSync(join(agent.dataDir, 'token'), 'utf8').trim();
    const before = token();
    agent.revokeToken(agent.createToken({ name: 'other', scope: 'read' }).id);
    expect(token()).toBe(before);
    agent.createToken({ name: 'another', scope: 'admin' });
    agent.revokeToken(agent.authenticate(before)?.id ?? 0);
    expect(agent.authenticate(before)).toBeUndefined();
    expect(agent.authenticate(token())).toMatchObject({ scope: 'admin' });
  });

  it('is revoked although the file for the next one cannot be written', async () => {
    const agent = await testAgent();
    const path = join(agent.dataDir, 'token');
    const own = agent.authenticate(readFileSync(path, 'utf8').trim());
    const { id } = agent.createToken({ name: 'another', scope: 'admin' });
    rmSync(path);
    mkdirSync(path);
    agent.revokeToken(own?.id ?? 0);
    expect(agent.listTokens().map((token) => token.id)).toEqual([id]);
    expect(agent.errors).toEqual([expect.stringContaining(path)]);
  });
});

describe('priorities', () => {
  it('decide which of the sends that wait for a relay comes first, also when they are changed', async () => {
    const relay = await countedRelay();
    const proxy = await startFaultProxy(relay.port);
    const address = relay.address.replace(`:${String(relay.port)}`, `:${String(proxy.port)}`);
    const agent = await testAgent({ servers: [address] });
    agent.setSettings({ chunksPerServer: 1 });
    // What is under way keeps the only place until everybody else waits for it.
    proxy.setFault({ type: 'stall', direction: 'up', after: 60_000 });
    await sentFile(agent, 'first');
    await proxy.struck();
    const [low, high, raised] = [
      await sentFile(agent, 'low'),
      await sentFile(agent, 'high'),
      await sentFile(agent, 'raised'),
    ];
    const ids = [low, high, raised];
    await agent.until(() => ids.every((id) => agent.get(id).state === 'uploading'));
    // What they are about to do has to be on disk before they wait.
    await delay(FLUSH_MS);
    agent.setPriority(high, 5);
    agent.setPriority(raised, 9);
    proxy.setFault();
    for (const id of ids) await agent.reached(id, 'completed');
    const completed = agent
      .listEvents({ types: ['transfer.completed'], limit: 10 })
      .events.map(({ transferId }) => transferId);
    expect(completed.slice(1)).toEqual([raised, high, low]);
  });
});

describe('what is kept no longer', () => {
  it('is removed when the agent starts: transfers that ended, and events', async () => {
    const relay = await countedRelay();
    const clock = fakeClock(Date.now());
    const agent = await testAgent({ servers: [relay.address], clock });
    const id = await sentFile(agent, 'old');
    await agent.reached(id, 'completed');
    agent.setSettings({ transferDays: 2, eventDays: 5 });
    clock.advance(3 * DAY_MS);
    const later = await agent.reopen();
    expect(later.list({ limit: 10 }).items).toEqual([]);
    expect(later.listEvents({ since: 0, limit: 100 }).lagged).toBe(false);
    clock.advance(3 * DAY_MS);
    const { events, lagged, newest, oldest } = (await later.reopen()).listEvents({ since: 0, limit: 100 });
    expect(lagged).toBe(true);
    expect(events.map(({ seq }) => seq)).toEqual(
      Array.from({ length: newest - oldest + 1 }, (_, index) => oldest + index),
    );
    expect(oldest).toBeGreaterThan(1);
  });

  it('is missed only by those whose transfer had more events than there are', async () => {
    const relay = await countedRelay();
    const clock = fakeClock(Date.now());
    const agent = await testAgent({ servers: [relay.address], clock });
    const old = await sentFile(agent, 'old');
    await agent.reached(old, 'completed');
    agent.setSettings({ eventDays: 1 });
    clock.advance(2 * DAY_MS);
    const later = await agent.reopen();
    const young = await sentFile(later, 'young');
    const isLagged = (transferId?: string): boolean =>
      later.listEvents({ since: 0, limit: 1, ...(transferId === undefined ? {} : { transferId }) }).lagged;
    expect([isLagged(), isLagged(old), isLagged(young)]).toEqual([true, true, false]);
    await later.reached(young, 'completed');
  });
});
