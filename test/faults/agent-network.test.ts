import { once } from 'node:events';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';

import { describe, expect, it, onTestFinished } from 'vitest';

import { CALLER, testAgent } from '../agent/agent-samples.js';
import { startFaultProxy } from '../support/fault-proxy.js';
import { makeFile } from '../support/transfers.js';
import {
  eagerAgent,
  eventsOf,
  expectSame,
  failureOf,
  loopbackRelay,
  sendWhole,
  startReceive,
  startSend,
  successes,
  throughPort,
  waitsFor,
} from './agent-fault-samples.js';

/** Five chunks. */
const FIVE_CHUNKS = 700_000;
const HOUR_MS = 3600_000;

/** A port that accepts connections and drops each one a moment later, and what it has seen. */
async function droppingPort(): Promise<{
  readonly port: number;
  readonly accepted: () => number;
  /** Most connections that were open at once since the last call. */
  readonly mostOpen: () => number;
}> {
  const open = new Set<Socket>();
  let [accepted, mostOpen] = [0, 0];
  const server = createServer((socket) => {
    accepted += 1;
    open.add(socket);
    mostOpen = Math.max(mostOpen, open.size);
    socket.on('error', () => undefined);
    socket.on('close', () => open.delete(socket));
    // Long enough that two at once would meet.
    setTimeout(() => socket.resetAndDestroy(), 10);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.close();
    await once(server, 'close');
  });
  return {
    port: (server.address() as AddressInfo).port, // listens on a TCP port
    accepted: () => accepted,
    mostOpen: () => {
      const most = mostOpen;
      mostOpen = 0;
      return most;
    },
  };
}

describe('A dead relay', () => {
  it('gets one connection at a time, although a thousand chunks wait for it', async () => {
    const relay = await loopbackRelay();
    const dead = await droppingPort();
    const agent = await eagerAgent({ servers: [throughPort(relay.address, dead.port)] });
    const path = await makeFile(agent.folder, FIVE_CHUNKS);
    for (let count = 0; count < 200; count += 1) await agent.send({ path, snapshot: false }, CALLER);
    await agent.until(() => agent.info().transfers.waiting === 200);
    dead.mostOpen();
    const before = dead.accepted();
    await agent.until(() => dead.accepted() >= before + 20);
    expect(dead.mostOpen()).toBe(1);
  });
});

describe('An agent without a network', () => {
  it('waits, and goes on at once when a client says that there is one again', async () => {
    const relay = await loopbackRelay();
    // With the pauses of everyday life.
    const agent = await testAgent({ servers: [relay.address] });
    agent.setNetwork({ online: false });
    const { id } = await startSend(agent, FIVE_CHUNKS);
    await waitsFor(agent, id, 'offline');
    expect(await readdir(relay.filesPath)).toEqual([]);
    agent.setNetwork({ online: true });
    await agent.reached(id, 'completed');
    expect(successes(agent, 'upload')).toBe(5);
  });

  it('asks a relay that failed before at once, too', async () => {
    const relay = await loopbackRelay();
    const proxy = await startFaultProxy(relay.port);
    const agent = await testAgent({
      servers: [throughPort(relay.address, proxy.port)],
      gatePauses: { firstMs: HOUR_MS, longestMs: HOUR_MS },
    });
    proxy.setFault({ type: 'cut', direction: 'up', after: 0 });
    const { id } = await startSend(agent);
    await waitsFor(agent, id, 'relay');
    proxy.setFault();
    agent.setNetwork({ online: true });
    await agent.reached(id, 'completed');
    expect(proxy.strikes()).toBe(1);
  });
});

describe('A jump of the wall clock', () => {
  it('by hours, forth and back, fails nothing', async () => {
    let shift = 0;
    const clock = { now: () => Date.now() + shift, monotonic: () => performance.now() };
    const relay = await loopbackRelay();
    const agent = await eagerAgent({ servers: [relay.address], clock });
    const { id: sent, description } = await sendWhole(agent, FIVE_CHUNKS);
    for (const hours of [20, -20, 0]) {
      agent.setNetwork({ online: false });
      const { id: sending } = await startSend(agent, FIVE_CHUNKS);
      const { id: receiving } = await startReceive(agent, description);
      await waitsFor(agent, sending, 'offline');
      shift = hours * HOUR_MS;
      agent.setNetwork({ online: true });
      await agent.reached(sending, 'completed');
      await expectSame(agent, sent, receiving);
    }
    expect(agent.info().transfers.failed).toBe(0);
  });

  it('beyond a deadline fails what was to be done by then', async () => {
    let shift = 0;
    const clock = { now: () => Date.now() + shift, monotonic: () => performance.now() };
    const relay = await loopbackRelay();
    const agent = await eagerAgent({ servers: [relay.address], clock });
    agent.setNetwork({ online: false });
    const { id: early } = await startSend(agent, 1000, { deadline: Date.now() + 5 * HOUR_MS });
    const { id: late } = await startSend(agent, 1000);
    await waitsFor(agent, late, 'offline');
    shift = 20 * HOUR_MS;
    // Deadlines are looked at now and then, and at the start.
    const again = await agent.reopen();
    expect(await failureOf(again, early)).toMatchObject({ code: 'DEADLINE_PASSED' });
    await again.reached(late, 'completed');
  });
});

describe('A source without a snapshot', () => {
  it.each([
    ['that changed', 'SOURCE_CHANGED', (path: string) => writeFile(path, 'other')],
    ['that is gone', 'SOURCE_MISSING', (path: string) => rm(path)],
  ])('%s while its send waited fails it with a sentence', async (_, code, harm) => {
    const relay = await loopbackRelay();
    const agent = await eagerAgent({ servers: [relay.address] });
    agent.setNetwork({ online: false });
    const { id, path = '' } = await startSend(agent, FIVE_CHUNKS, { snapshot: false });
    await waitsFor(agent, id, 'offline');
    await harm(path);
    agent.setNetwork({ online: true });
    expect(await failureOf(agent, id)).toMatchObject({
      code,
      kind: 'local',
      message: expect.stringMatching(/\.$/),
    });
    expect(eventsOf(agent, id, 'transfer.failed')).toHaveLength(1);
  });
});
