import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import type { Settings } from '#src/agent/model.js';
import { failing } from '../crypto/expected-failure.js';
import { startFaultProxy } from '../support/fault-proxy.js';
import { type SocksServer, startSocksServer } from '../support/socks-server.js';
import { CALLER, fakeClock, type TestAgent, testAgent, type TestAgentOptions } from './agent-samples.js';
import { countedRelay, type CountedRelay } from './relay-samples.js';

const KIB = 1024;
const ONION = `${'b'.repeat(56)}.onion`;

interface Setting {
  readonly agent: TestAgent;
  readonly relay: CountedRelay;
  readonly proxy: SocksServer;
  /** The relay's address with a name that only the proxy knows. */
  readonly address: string;
}

/** An agent whose relay can be reached through the proxy only. */
async function setting(settings: Partial<Settings> = {}, host = ONION): Promise<Setting> {
  const relay = await countedRelay();
  const proxy = await startSocksServer({ target: () => relay.port });
  const address = relay.address.replace('@127.0.0.1', `@${host}`);
  const agent = await testAgent({ servers: [address], gatePauses: { firstMs: 5, longestMs: 50 } });
  agent.setSettings({ socksProxy: `127.0.0.1:${String(proxy.port)}`, ...settings });
  return { agent, relay, proxy, address };
}

async function start(agent: TestAgent, size = 10): Promise<{ id: string; content: Buffer }> {
  const path = join(agent.folder, `${randomBytes(4).toString('hex')}.bin`);
  const content = randomBytes(size);
  writeFileSync(path, content);
  const { id } = await agent.send({ path, redirect: 'never' }, CALLER);
  return { id, content };
}

const circuits = ({ proxy }: Setting): string[] =>
  proxy.requests.map(({ user, password }) => user + password);

describe('an agent with a proxy', () => {
  it('sends and receives through it, also from relays that it does not know', async () => {
    const how = await setting();
    const { agent, proxy } = how;
    const { id, content } = await start(agent, 300 * KIB);
    await agent.reached(id, 'completed');
    const { description } = (await agent.descriptions(id)).recipients[0]!;
    const other = await testAgent();
    other.setSettings({ socksProxy: `127.0.0.1:${String(proxy.port)}` });
    const receive = await other.receive({ description }, CALLER);
    const { path = '' } = await other.reached(receive.id, 'completed');
    expect(readFileSync(path).equals(content)).toBe(true);
    expect(new Set(proxy.requests.map(({ host }) => host))).toEqual(new Set([ONION]));
  });

  it('asks before it receives from unknown relays when the proxy is for onion hosts only', async () => {
    const relay = await countedRelay();
    const sender = await testAgent({ servers: [relay.address] });
    const { id } = await start(sender);
    await sender.reached(id, 'completed');
    const { description } = (await sender.descriptions(id)).recipients[0]!;
    const agent = await testAgent();
    agent.setSettings({ socksProxy: '127.0.0.1:9', socksMode: 'onion' });
    const receive = await agent.receive({ description }, CALLER);
    await agent.reached(receive.id, 'awaiting_approval');
  });

  it.each([
    ['is taken away', { socksProxy: null }],
    ['is for onion hosts only', { socksMode: 'onion' }],
  ] as const)('asks before it goes on receiving from unknown relays when the proxy %s', async (_, change) => {
    const { agent: sender, proxy } = await setting({}, 'relay.example');
    const { id, content } = await start(sender, 300 * KIB);
    await sender.reached(id, 'completed');
    const { description } = (await sender.descriptions(id)).recipients[0]!;
    const agent = await testAgent({ gatePauses: { firstMs: 5, longestMs: 50 } });
    agent.setSettings({ socksProxy: `127.0.0.1:${String(proxy.port)}`, downloadLimit: 64 * KIB });
    const receive = await agent.receive({ description }, CALLER);
    await agent.reached(receive.id, 'downloading');
    agent.setSettings({ ...change, downloadLimit: null });
    expect(agent.get(receive.id).state).toBe('awaiting_approval');
    expect(agent.listEvents({ types: ['transfer.approval'], limit: 10 }).events).toHaveLength(1);
    agent.setSettings({ socksProxy: `127.0.0.1:${String(proxy.port)}`, socksMode: 'always' });
    agent.approve(receive.id);
    const { path = '' } = await agent.reached(receive.id, 'completed');
    expect(readFileSync(path).equals(content)).toBe(true);
  });

  it.each([
    ['server', 1],
    ['transfer', 2],
    ['chunk', 8],
  ] as const)(
    'with isolation %s takes %i circuits for two files of four chunks',
    async (isolation, count) => {
      const how = await setting({ isolation });
      const { agent } = how;
      const sends = [await start(agent, 600 * KIB), await start(agent, 600 * KIB)];
      for (const { id } of sends) expect((await agent.reached(id, 'completed')).chunksTotal).toBe(4);
      expect(new Set(circuits(how)).size).toBe(count);
    },
  );

  it('waits while the proxy is away, and goes on soon after it is back', async () => {
    const { agent, proxy, relay } = await setting();
    await proxy.stop();
    const { id } = await start(agent);
    const { waitingReason } = await agent.reached(id, 'waiting');
    expect([waitingReason, agent.info().network.online]).toEqual(['offline', false]);
    await proxy.start();
    await agent.reached(id, 'completed');
    expect((await relay.counts()).FPUT).toBe(1);
  });

  it('lets no byte go the old way from the moment when it is told of the proxy', async () => {
    const relay = await countedRelay();
    const direct = await startFaultProxy(relay.port);
    const proxy = await startSocksServer({ target: () => relay.port });
    const address = relay.address.replace(`:${String(relay.port)}`, `:${String(direct.port)}`);
    const agent = await testAgent({ servers: [address], gatePauses: { firstMs: 5, longestMs: 50 } });
    // One connection, which is open when the proxy is set.
    agent.setSettings({ chunksPerServer: 1 });
    direct.setFault({ type: 'stall', direction: 'up', after: 100 * KIB });
    const { id } = await start(agent, 600 * KIB);
    await direct.struck();
    agent.setSettings({ socksProxy: `127.0.0.1:${String(proxy.port)}` });
    const { chunksTotal } = await agent.reached(id, 'completed');
    expect([direct.accepted(), direct.passed('up')]).toEqual([1, 100 * KIB]);
    expect(proxy.requests.length).toBeGreaterThan(0);
    expect((await relay.counts()).FPUT).toBe(chunksTotal);
  });

  it('tests a server through it, and tells when it is the proxy that fails', async () => {
    const { agent, address, proxy } = await setting();
    const { ok, steps } = await agent.testServer(address);
    expect(steps.map(({ step }) => step).slice(0, 4)).toEqual(['name', 'proxy', 'tcp', 'tls']);
    expect(ok).toBe(true);
    await proxy.stop();
    const failed = (await agent.testServer(address)).steps.at(-1);
    expect([failed?.step, failed?.failure?.code]).toEqual(['proxy', 'PROXY_FAILED']);
  });

  it('refuses the address of a proxy that is none', async () => {
    const { agent } = await setting();
    expect(() => agent.setSettings({ socksProxy: 'me:secret@host:1' })).toThrow(failing('INVALID_ARGUMENT'));
    expect(agent.getSettings().socksProxy).toMatch(/^127/);
  });
});

describe('a deletion', () => {
  /** A revoked file whose relay needs a proxy, after the proxy was taken away. */
  async function revoked(options: TestAgentOptions = {}) {
    const [relay, stranger] = [await countedRelay(), await countedRelay()];
    let target = relay;
    const proxy = await startSocksServer({ target: () => target.port });
    const address = relay.address.replace('@127.0.0.1', `@${ONION}`);
    const gatePauses = { firstMs: 5, longestMs: 50 };
    const agent = await testAgent({ servers: [address], gatePauses, ...options });
    const useProxy = (): void => {
      agent.setSettings({ socksProxy: `127.0.0.1:${String(proxy.port)}` });
    };
    useProxy();
    const { id } = await start(agent);
    await agent.reached(id, 'completed');
    agent.setSettings({ socksProxy: null });
    agent.revoke({ id });
    return {
      agent,
      relay,
      useProxy,
      takeOver: (by: 'stranger' | 'relay') => {
        target = by === 'relay' ? relay : stranger;
      },
      /** Resolves when the deletion has failed in this way several times. */
      failed: (kind: string) =>
        agent.until(() =>
          agent.stats().some(({ failures }) => failures.some((each) => each.kind === kind && each.count > 2)),
        ),
      pending: () => agent.get(id).revoked?.pending,
      outcome: () =>
        agent.listEvents({ types: ['transfer.deleted'], limit: 10 }).events.map(({ data }) => data),
    };
  }

  it('waits for a proxy, and while somebody else stands at the address of the relay', async () => {
    const { agent, relay, useProxy, takeOver, failed, pending, outcome } = await revoked();
    await failed('refused');
    expect([pending(), relay.chunks()]).toEqual([1, 1]);
    takeOver('stranger');
    useProxy();
    await failed('identity');
    expect([pending(), relay.chunks()]).toEqual([1, 1]);
    takeOver('relay');
    await agent.until(() => pending() === 0);
    expect([relay.chunks(), outcome()]).toEqual([0, [{ deleted: 1, failed: 0 }]]);
  });

  it('comes soon after the proxy, however long it has failed', async () => {
    const gatePauses = { firstMs: 60_000, longestMs: 60_000 };
    const { agent, useProxy, pending, outcome } = await revoked({ gatePauses });
    await agent.until(() => agent.stats()[0]?.failures.length === 1);
    useProxy();
    await agent.until(() => pending() === 0);
    expect(outcome()).toEqual([{ deleted: 1, failed: 0 }]);
  });

  it('is given up at its deadline', async () => {
    const clock = fakeClock();
    const { agent, failed, outcome } = await revoked({ clock });
    await failed('refused');
    expect(outcome()).toEqual([]);
    clock.advance(49 * 3600_000);
    await agent.until(() => agent.info().relayTasks === 0);
    expect(outcome()).toEqual([{ deleted: 0, failed: 1 }]);
  });
});
