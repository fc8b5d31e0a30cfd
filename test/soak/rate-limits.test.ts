import { setTimeout as delay } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { testAgent } from '../agent/agent-samples.js';
import { sendWhole, startReceive, startSend, throughPort } from '../faults/agent-fault-samples.js';
import { type Direction, type FaultProxy, startFaultProxy } from '../support/fault-proxy.js';
import { testRelay } from '../support/test-relay.js';

/** Bytes per second, each way. */
const LIMIT = 1_500_000;
/** For so long it is measured, in ms. */
const MEASURE_MS = 10_000;
/** Bytes of a file in chunks of 4 MiB that takes longer. */
const SIZE = 24_000_000;
/** What is on the way when the measurement begins is no part of it. */
const BEGUN = LIMIT;

/** Bytes per second that go past, on the monotonic clock. `before`: what has gone past when it is called. */
async function rateOf(proxy: FaultProxy, direction: Direction, before: number): Promise<number> {
  const passed = (): number => proxy.passed(direction) - before;
  await expect.poll(passed, { interval: 10, timeout: 20_000 }).toBeGreaterThan(BEGUN);
  const [bytes, start] = [passed(), performance.now()];
  await delay(MEASURE_MS);
  return ((passed() - bytes) * 1000) / (performance.now() - start);
}

describe('Limits of 1.5 MB/s', () => {
  it('hold to 5 % over ten seconds for what a send and a receive move at once, all overhead included', async () => {
    const relay = await testRelay({ host: '127.0.0.1' });
    // One for each transfer, so that none counts the commands of the other.
    const [up, down] = [await startFaultProxy(relay.port), await startFaultProxy(relay.port)];
    const agent = await testAgent({ servers: [throughPort(relay.address, up.port)] });
    const { description } = await sendWhole(agent, SIZE);
    agent.setSettings({ uploadLimit: LIMIT, downloadLimit: LIMIT });
    const before = up.passed('up');
    const sending = await startSend(agent, SIZE);
    await startReceive(agent, description.replaceAll(`:${String(up.port)}`, `:${String(down.port)}`));
    const rates = await Promise.all([rateOf(up, 'up', before), rateOf(down, 'down', 0)]);
    expect(agent.get(sending.id).state).toBe('uploading');
    for (const rate of rates) {
      expect(rate / LIMIT).toBeGreaterThan(0.95);
      expect(rate / LIMIT).toBeLessThan(1.05);
    }
    expect(agent.errors).toEqual([]);
  });
});
