import { readdir, rm } from 'node:fs/promises';

import { describe, expect, it } from 'vitest';

import { randomBytes } from '#src/crypto/index.js';

import { startFaultProxy } from '../support/fault-proxy.js';
import { freePort, startRelayProcess } from '../support/relay-process.js';
import { testAgent } from '../agent/agent-samples.js';
import {
  chunkPath,
  copyOfRelay,
  damage,
  eagerAgent,
  eventsOf,
  expectSame,
  failureOf,
  loopbackRelay,
  onServers,
  sendWhole,
  startReceive,
  startSend,
  successes,
  throughPort,
  waitsFor,
  withOtherFingerprint,
} from './agent-fault-samples.js';
import { bodyLie, type Lie, longer, startLyingRelay } from './lying-relay.js';

/** Five chunks. */
const FIVE_CHUNKS = 700_000;

describe('A relay that is down for a while', () => {
  it('makes a send wait, which then goes on and uploads nothing twice', async () => {
    const relay = await startRelayProcess();
    const proxy = await startFaultProxy(relay.port);
    const agent = await eagerAgent({ servers: [relay.addressWith({ port: proxy.port })] });
    proxy.setFault({ type: 'cut', direction: 'up', after: 200_000 });
    const { id } = await startSend(agent, FIVE_CHUNKS);
    await proxy.struck();
    await relay.kill();
    proxy.setFault();
    await waitsFor(agent, id, 'relay');
    await relay.start();
    const { chunksTotal } = await agent.reached(id, 'completed');
    expect(chunksTotal).toBe(5);
    expect(successes(agent, 'upload')).toBe(5);
    expect(await relay.chunkPaths()).toHaveLength(5);
    expect(eventsOf(agent, id, 'transfer.failed')).toEqual([]);
    expect(agent.errors).toEqual([]);
  });

  it('makes a receive wait, which then goes on', async () => {
    const relay = await startRelayProcess();
    const agent = await eagerAgent({ servers: [relay.address] });
    const { id: sent, description } = await sendWhole(agent, FIVE_CHUNKS);
    await relay.kill();
    const { id } = await startReceive(agent, description);
    await waitsFor(agent, id, 'relay');
    await relay.start();
    await expectSame(agent, sent, id);
  });

  it('keeps chunks that the other one takes for no more than a moment', async () => {
    const relay = await loopbackRelay();
    const dead = throughPort(relay.address, await freePort());
    // With the pauses of everyday life: who waited for the dead relay would wait for minutes.
    const agent = await testAgent({ servers: [dead, relay.address] });
    const sends = await Promise.all(Array.from({ length: 10 }, () => startSend(agent, FIVE_CHUNKS)));
    for (const { id } of sends) await agent.reached(id, 'completed');
    expect(successes(agent, 'upload')).toBe(50);
  });

  it('does not hold up transfers for other relays', async () => {
    const relay = await loopbackRelay();
    const dead = throughPort(relay.address, await freePort());
    const agent = await testAgent({ servers: [relay.address] });
    const stuck = await Promise.all(
      Array.from({ length: 40 }, () => startSend(agent, 1000, { servers: [dead], priority: 5 })),
    );
    const { id } = await startSend(agent);
    await agent.reached(id, 'completed');
    expect(stuck.map(({ id: each }) => agent.get(each).state)).not.toContain('failed');
  });
});

describe('A relay that is slow', () => {
  it('is waited for, in both directions', async () => {
    const relay = await loopbackRelay();
    const proxy = await startFaultProxy(relay.port);
    const agent = await eagerAgent({ servers: [throughPort(relay.address, proxy.port)] });
    proxy.setFault({ type: 'delay', direction: 'down', ms: 40 });
    const { id: sent, description } = await sendWhole(agent, FIVE_CHUNKS);
    const { id } = await startReceive(agent, description);
    await expectSame(agent, sent, id);
    expect(proxy.strikes()).toBeGreaterThan(10);
  });
});

describe('A relay that does not take chunks', () => {
  it('for want of the password is passed over, with one warning', async () => {
    const [strict, kind] = [await loopbackRelay({ createPassword: 'secret' }), await loopbackRelay()];
    const agent = await eagerAgent({ servers: [strict.address, kind.address] });
    // Enough chunks that the strict relay is asked for one of them: it is left out by chance once in 2^30.
    const sends = await Promise.all(Array.from({ length: 6 }, () => startSend(agent, FIVE_CHUNKS)));
    for (const { id } of sends) await agent.reached(id, 'completed');
    const warned = sends.map(({ id }) => eventsOf(agent, id, 'transfer.warning'));
    for (const warnings of warned) expect(warnings.length).toBeLessThanOrEqual(1);
    expect(warned.flat()[0]?.data).toMatchObject({
      warning: 'relay',
      failure: { code: 'RELAY_REFUSED' },
      server: strict.address,
    });
    expect(await readdir(strict.filesPath)).toEqual([]);
  });

  it('for want of the password fails the send when there is no other one', async () => {
    const strict = await loopbackRelay({ createPassword: 'secret' });
    const agent = await eagerAgent({ servers: [strict.address] });
    const { id } = await startSend(agent, FIVE_CHUNKS);
    expect(await failureOf(agent, id)).toMatchObject({
      code: 'RELAY_REFUSED',
      message: expect.stringMatching(/^The relay .* wants a password .*\.$/),
    });
    expect(eventsOf(agent, id, 'transfer.failed')).toHaveLength(1);
  });

  it('because it is full is passed over, and the send fails when all are', async () => {
    const [full, roomy] = [await loopbackRelay({ storageQuota: 100_000 }), await loopbackRelay()];
    const agent = await eagerAgent({ servers: [full.address] });
    const { id } = await startSend(agent, FIVE_CHUNKS);
    expect(await failureOf(agent, id)).toMatchObject({
      code: 'RELAY_FULL',
      message: expect.stringMatching(/^The relay .* is full: .*\.$/),
    });
    agent.addServer({ address: roomy.address });
    agent.retry(id);
    await agent.reached(id, 'completed');
  });

  it('although it has just registered them is asked a few times, not for ever', async () => {
    const relay = await startLyingRelay();
    let registered = 0;
    relay.lie(({ command }, honest) => {
      if (command.type === 'FNEW') registered += 1;
      return command.type === 'FPUT' ? { response: { type: 'ERR', error: { type: 'AUTH' } } } : honest;
    });
    const agent = await eagerAgent({ servers: [relay.address] });
    const { id } = await startSend(agent);
    expect(await failureOf(agent, id)).toMatchObject({ code: 'CHUNK_GONE' });
    expect(registered).toBe(3);
  });
});

describe('A relay that has lost a chunk', () => {
  it('fails the receive when nobody else has it', async () => {
    const relay = await loopbackRelay();
    const agent = await eagerAgent({ servers: [relay.address] });
    const { description } = await sendWhole(agent, FIVE_CHUNKS);
    const [name = ''] = await readdir(relay.filesPath);
    await rm(chunkPath(relay, name));
    const { id } = await startReceive(agent, description);
    expect(await failureOf(agent, id)).toMatchObject({
      code: 'CHUNK_GONE',
      message: expect.stringMatching(/expired|deleted/),
    });
    expect(await readdir(agent.downloads)).not.toContain(agent.get(id).fileName);
  });

  it.each([
    ['lost', (path: string) => rm(path)],
    ['damaged', damage],
  ])('is replaced by another one that has it (%s)', async (_, harm) => {
    const relay = await loopbackRelay();
    const agent = await eagerAgent({ servers: [relay.address] });
    const { id: sent, description } = await sendWhole(agent, FIVE_CHUNKS);
    const copy = await copyOfRelay(relay);
    for (const name of await readdir(relay.filesPath)) await harm(chunkPath(relay, name));
    const { id } = await startReceive(agent, onServers(description, relay.address, copy.address));
    await expectSame(agent, sent, id);
  });
});

describe('A relay that hands out wrong bytes', () => {
  it.each([
    ['of another size', bodyLie((body) => longer(body, 1)), 'CHUNK_SIZE'],
    ['under a wrong tag', bodyLie((body) => randomBytes(body.length)), 'CHUNK_TAG'],
  ] as readonly [string, Lie, string][])(
    '%s is asked twice, then the receive fails',
    async (_, lie, code) => {
      const relay = await startLyingRelay();
      const agent = await eagerAgent({ servers: [relay.address] });
      const { description } = await sendWhole(agent);
      let downloads = 0;
      relay.lie((request, honest) => {
        if (request.command.type === 'FGET') downloads += 1;
        return lie(request, honest);
      });
      const { id } = await startReceive(agent, description);
      expect(await failureOf(agent, id)).toMatchObject({ code, kind: 'corrupt' });
      expect(downloads).toBe(2);
    },
  );

  it('once is forgiven', async () => {
    const relay = await startLyingRelay();
    const agent = await eagerAgent({ servers: [relay.address] });
    const { id: sent, description } = await sendWhole(agent);
    let lies = 1;
    relay.tamper((chunk) => (lies-- > 0 ? randomBytes(chunk.length) : chunk));
    const { id } = await startReceive(agent, description);
    await expectSame(agent, sent, id);
  });

  it('of its own making fails the receive as corrupted', async () => {
    const relay = await startLyingRelay();
    const agent = await eagerAgent({ servers: [relay.address] });
    const { description } = await sendWhole(agent);
    relay.tamper((chunk) => randomBytes(chunk.length));
    const { id } = await startReceive(agent, description);
    expect(await failureOf(agent, id)).toMatchObject({ code: 'CHUNK_DIGEST', kind: 'corrupt' });
  });
});

describe('A relay that blocks a file', () => {
  it('fails the receive with its reason, at once', async () => {
    const relay = await startLyingRelay();
    const agent = await eagerAgent({ servers: [relay.address] });
    const { description } = await sendWhole(agent);
    let downloads = 0;
    relay.lie(({ command }, honest) => {
      if (command.type !== 'FGET') return honest;
      downloads += 1;
      return { response: { type: 'ERR', error: { type: 'BLOCKED', info: { reason: 'spam' } } } };
    });
    const { id } = await startReceive(agent, description);
    expect(await failureOf(agent, id)).toMatchObject({
      code: 'CHUNK_BLOCKED',
      kind: 'permanent',
      message: expect.stringContaining('spam'),
    });
    expect(downloads).toBe(1);
  });
});

describe('A relay that is not who it should be', () => {
  it('is left out of a send, with one security warning', async () => {
    const [relay, other] = [await loopbackRelay(), await loopbackRelay()];
    const impostor = withOtherFingerprint(other.address);
    const agent = await eagerAgent({ servers: [impostor, relay.address] });
    const sends = await Promise.all(Array.from({ length: 6 }, () => startSend(agent, FIVE_CHUNKS)));
    for (const { id } of sends) await agent.reached(id, 'completed');
    const warned = sends.map(({ id }) => eventsOf(agent, id, 'transfer.warning'));
    for (const warnings of warned) expect(warnings.length).toBeLessThanOrEqual(1);
    expect(warned.flat()[0]?.data).toMatchObject({
      warning: 'security',
      failure: { code: 'IDENTITY_MISMATCH' },
      server: impostor,
    });
    expect(await readdir(other.filesPath)).toEqual([]);
  });

  it('fails a send that has no other, without another try', async () => {
    const relay = await loopbackRelay();
    const proxy = await startFaultProxy(relay.port);
    const impostor = withOtherFingerprint(throughPort(relay.address, proxy.port));
    const agent = await eagerAgent({ servers: [impostor] });
    const { id } = await startSend(agent);
    expect(await failureOf(agent, id)).toMatchObject({ code: 'IDENTITY_MISMATCH', kind: 'identity' });
    expect(eventsOf(agent, id, 'transfer.warning')).toHaveLength(1);
    expect(proxy.accepted()).toBe(1);
  });

  it('is not asked for the rest of a file that another one has too', async () => {
    const relay = await loopbackRelay();
    const agent = await eagerAgent({ servers: [relay.address] });
    const { id: sent, description } = await sendWhole(agent, FIVE_CHUNKS);
    const proxy = await startFaultProxy(relay.port);
    const impostor = withOtherFingerprint(throughPort(relay.address, proxy.port));
    // Chance decides between relays that do equally well: now and then no part is asked of the first one.
    let id: string;
    do {
      ({ id } = await startReceive(agent, onServers(description, impostor, relay.address)));
      await expectSame(agent, sent, id);
    } while (proxy.accepted() === 0);
    expect(eventsOf(agent, id, 'transfer.warning').map(({ data }) => data)).toMatchObject([
      { warning: 'security', failure: { code: 'IDENTITY_MISMATCH' }, server: impostor },
    ]);
    // The first chunk leads: the others know.
    expect(proxy.accepted()).toBe(1);
  });
});
