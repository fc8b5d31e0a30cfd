import { writeFile } from 'node:fs/promises';

import { describe, expect, it } from 'vitest';

import { CALLER } from '../agent/agent-samples.js';
import { countedRelay } from '../agent/relay-samples.js';
import { emulatedLink } from '../support/emulated-link.js';
import { startFaultProxy } from '../support/fault-proxy.js';
import { makeFile } from '../support/transfers.js';
import { eagerAgent, failureOf, throughPort } from './agent-fault-samples.js';

/** Bytes of a file that makes one chunk of 1 MiB. */
const ONE_CHUNK = 1_000_000;

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
