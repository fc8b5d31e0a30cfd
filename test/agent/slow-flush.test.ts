import { setTimeout as delay } from 'node:timers/promises';

import { expect, it, onTestFinished, vi } from 'vitest';

import { BackgroundFlush } from '#src/agent/background-flush.js';
import { expectSame, startReceive, startSend } from '../faults/agent-fault-samples.js';
import { testAgent } from './agent-samples.js';
import { countedRelay } from './relay-samples.js';

/** A flush of a disk that is busy with other things, in ms. */
const FLUSH_MS = 400;
/** Bytes per second: a chunk takes less long than its flush. */
const LIMIT = 1_000_000;
const AT_ONCE = 4;

/** Every flush that goes on beside other things takes long. */
function slowFlushes(): void {
  const flush = vi
    .spyOn(BackgroundFlush.prototype, 'flush')
    .mockImplementation(() => delay(FLUSH_MS, undefined));
  onTestFinished(() => {
    flush.mockRestore();
  });
}

it('Progress does not run ahead, and so never goes back, while chunks are recorded on a slow disk', async () => {
  slowFlushes();
  const relay = await countedRelay();
  const agent = await testAgent({ servers: [relay.address] });
  agent.setSettings({
    chunksPerServer: AT_ONCE,
    chunkSizes: 'small',
    uploadLimit: LIMIT,
    downloadLimit: LIMIT,
  });
  const shown = new Map<string, number[]>();
  agent.onEvent((event) => {
    if (event.type !== 'transfer.progress') return;
    const { transferId, data } = event;
    shown.set(transferId, [...(shown.get(transferId) ?? []), data.bytesDone]);
  });
  const { id } = await startSend(agent, 2_500_000);
  await agent.reached(id, 'completed');
  const description = (await agent.descriptions(id)).recipients[0]?.description ?? '';
  await expectSame(agent, id, (await startReceive(agent, description)).id);
  expect(shown.size).toBe(2);
  for (const bytes of shown.values()) {
    expect(bytes.length).toBeGreaterThan(5);
    expect(bytes).toStrictEqual(bytes.toSorted((one, other) => one - other));
  }
});
