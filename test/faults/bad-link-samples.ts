import { expect, vi } from 'vitest';

import type { TransferInfo } from '#src/agent/index.js';
import { parseDescription } from '#src/protocol/index.js';

import { CALLER, type TestAgent, testAgent } from '../agent/agent-samples.js';
import { countedRelay } from '../agent/relay-samples.js';
import { emulatedLink, type LinkFigures } from '../support/emulated-link.js';
import { digestOf, makeFile } from '../support/transfers.js';
import { successes } from './agent-fault-samples.js';

const MIB = 1024 * 1024;
/** What it took. */
export interface LinkOutcome {
  readonly sendMs: number;
  readonly receiveMs: number;
  readonly sendCuts: number;
  readonly receiveCuts: number;
  /** Sizes of the chunks in the end, in bytes. */
  readonly sizes: readonly number[];
}

/**
 * Sends 3 MiB over a link that breaks again and again, and receives them over it, each with an agent of its own that
 * knows nothing of the link. Checks that the file came, and that no chunk was moved again once it had got through.
 */
export async function overBadLink(
  figures: LinkFigures,
  gatePauses?: { readonly firstMs: number; readonly longestMs: number },
): Promise<LinkOutcome> {
  const relay = await countedRelay();
  const link = await emulatedLink(relay.port, figures);
  const address = relay.address.replace(/:\d+$/, `:${String(link.port)}`);
  const options = { servers: [address], ...(gatePauses === undefined ? {} : { gatePauses }) };
  const sender = await testAgent(options);
  const path = await makeFile(sender.folder, 3 * MIB);
  let [start, cuts] = [performance.now(), link.cuts()];
  const { id: sent } = await sender.send({ path, redirect: 'never' }, CALLER);
  const { chunksTotal, chunksDone, encryptedSize } = await completed(sender, sent);
  const [sendMs, sendCuts] = [performance.now() - start, link.cuts() - cuts];
  const { recipients } = await sender.descriptions(sent);
  const { description } = recipients[0]!;
  const sizes = parseDescription(description).chunks.map(({ size }) => size);
  expect(chunksDone).toBe(chunksTotal);
  expect(sizes).toHaveLength(chunksTotal);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(encryptedSize);
  expect(successes(sender, 'upload')).toBe(chunksTotal);
  // The relay has stored each chunk once, but for those whose acknowledgement was on its way when the link broke.
  const { FPUT } = await relay.counts();
  expect(FPUT).toBeGreaterThanOrEqual(chunksTotal);
  expect(FPUT).toBeLessThanOrEqual(chunksTotal + sendCuts);
  [start, cuts] = [performance.now(), link.cuts()];
  const receiver = await testAgent(options);
  const { id: received } = await receiver.receive({ description }, CALLER);
  const { path: copy = '' } = await completed(receiver, received);
  expect(await digestOf(copy)).toBe(await digestOf(path));
  expect(successes(receiver, 'download')).toBe(chunksTotal);
  expect([...sender.errors, ...receiver.errors]).toEqual([]);
  return {
    sendMs,
    sendCuts,
    receiveMs: performance.now() - start,
    receiveCuts: link.cuts() - cuts,
    sizes,
  };
}

/** However long it takes: the time limit of the test ends it. */
async function completed(agent: TestAgent, id: string): Promise<TransferInfo> {
  await vi.waitUntil(() => ['completed', 'failed'].includes(agent.get(id).state), {
    timeout: 3600_000,
    interval: 20,
  });
  return agent.reached(id, 'completed');
}
