import { writeFile } from 'node:fs/promises';

import { describe, expect, it } from 'vitest';

import { parseDescription } from '#src/protocol/index.js';

import { CALLER } from '../agent/agent-samples.js';
import { countedRelay } from '../agent/relay-samples.js';
import { emulatedLink } from '../support/emulated-link.js';
import { startFaultProxy } from '../support/fault-proxy.js';
import { makeFile } from '../support/transfers.js';
import { addressesOf, mortalRelays } from '../agent/replica-samples.js';
import { eagerAgent, expectSame, failureOf, startReceive, throughPort } from './agent-fault-samples.js';

/** Bytes of a file that makes one chunk of 1 MiB. */
const ONE_CHUNK = 1_000_000;
/** Bytes that a connection carries before it breaks: a chunk of 256 KiB, and no larger one. */
const CUT_AFTER = 480_000;

describe('A source that changes while its chunk is about to be split', () => {
  it('ends the send, which says so, and nothing of the split is recorded', async () => {
    const relay = await countedRelay();
    const proxy = await startFaultProxy(relay.port);
    const link = await emulatedLink(proxy.port, {
      bytesPerSecond: 600_000,
      roundTripMs: 2,
      cutEvery: { bytes: 300_000 },
    });
    const agent = await eagerAgent({ servers: [throughPort(relay.address, link.port)] });
    const path = await makeFile(agent.folder, ONE_CHUNK);
    const { id } = await agent.send({ path, redirect: 'never', snapshot: false }, CALLER);
    await agent.until(() => link.cuts() === 1);
    const before = proxy.passed('up');
    // A handshake has less: the chunk is under way again, made before the change. It is split when the way breaks now.
    await agent.until(() => proxy.passed('up') > before + 60_000);
    await writeFile(path, Buffer.alloc(ONE_CHUNK));
    const { code } = await failureOf(agent, id);
    expect(code).toBe('SOURCE_CHANGED');
    expect(link.cuts()).toBe(2);
    expect(agent.get(id)).toMatchObject({ chunksTotal: 1, chunksDone: 0 });
    expect((await relay.counts()).FPUT).toBe(0);
    expect(agent.errors).toEqual([]);
  });
});

describe('A chunk that is to be on two relays', () => {
  it('is split when the ways break, and each piece is on both; what they had of it is deleted', async () => {
    const relays = await mortalRelays(2);
    for (const { proxy } of relays) proxy.setFault({ type: 'cut', direction: 'up', after: CUT_AFTER });
    const agent = await eagerAgent({ servers: addressesOf(relays) });
    const path = await makeFile(agent.folder, ONE_CHUNK);
    const { id } = await agent.send({ path, replicas: 2, redirect: 'never' }, CALLER);
    await agent.reached(id, 'completed');
    const { description } = (await agent.descriptions(id)).recipients[0]!;
    const { chunks } = parseDescription(description);
    expect(chunks.reduce((sum, { size }) => sum + size, 0)).toBe(1024 * 1024);
    expect(Math.max(...chunks.map(({ size }) => size))).toBeLessThanOrEqual(256 * 1024);
    for (const { replicas } of chunks)
      expect(new Set(replicas.map(({ server }) => server.port)).size).toBe(2);
    for (const relay of relays) {
      // The pieces stay; the chunk, and whatever else was begun, is gone.
      await expect
        .poll(async () => {
          const { FNEW, FDEL } = await relay.counts();
          return FNEW - FDEL;
        })
        .toBe(chunks.length);
      expect(relay.chunks()).toBe(chunks.length);
      relay.proxy.setFault();
    }
    relays[0]?.die();
    const { id: receiving } = await startReceive(agent, description);
    await expectSame(agent, id, receiving);
    expect(agent.errors).toEqual([]);
  });

  it('ends up on two relays although the way to a third one is short', async () => {
    const relays = await mortalRelays(3);
    relays[0]?.proxy.setFault({ type: 'cut', direction: 'up', after: CUT_AFTER });
    const agent = await eagerAgent({ servers: addressesOf(relays) });
    const path = await makeFile(agent.folder, ONE_CHUNK);
    const { id } = await agent.send({ path, replicas: 2, redirect: 'never' }, CALLER);
    await agent.reached(id, 'completed');
    const { description } = (await agent.descriptions(id)).recipients[0]!;
    expect(parseDescription(description).chunks.every(({ replicas }) => replicas.length === 2)).toBe(true);
    const { id: receiving } = await startReceive(agent, description);
    await expectSame(agent, id, receiving);
  });
});
