import { randomBytes } from 'node:crypto';

import { describe, expect, it, vi } from 'vitest';

import type { TransferInfo } from '#src/agent/index.js';

import { CALLER, type TestAgent } from '../agent/agent-samples.js';
import {
  addressesOf,
  FIVE_CHUNKS,
  held,
  type MortalRelay,
  mortalRelays,
  sourceOf,
} from '../agent/replica-samples.js';
import {
  eagerAgent,
  eventsOf,
  expectSame,
  failureOf,
  loopbackRelay,
  startReceive,
  withOtherFingerprint,
} from '../faults/agent-fault-samples.js';
import { bodyLie, type Lie, longer, startLyingRelay } from '../faults/lying-relay.js';

const MIB = 1024 * 1024;

/** Sends a file of five chunks to two relays for each. */
async function sentTwice(
  addresses: readonly string[],
  size = FIVE_CHUNKS,
): Promise<{ agent: TestAgent; id: string; description: string }> {
  const agent = await eagerAgent({ servers: addresses });
  const { id } = await agent.send(
    { path: await sourceOf(agent, size), replicas: 2, redirect: 'never' },
    CALLER,
  );
  await agent.reached(id, 'completed');
  const { description } = (await agent.descriptions(id)).recipients[0] ?? { description: '' };
  return { agent, id, description };
}

describe('A receive of a file with two replicas of each chunk', () => {
  it.each([0, 1, 2])('ends well when relay %i of three is dead from the start', async (index) => {
    const relays = await mortalRelays(3);
    const { agent, id, description } = await sentTwice(addressesOf(relays));
    relays[index]?.die();
    const { id: receiving } = await startReceive(agent, description);
    await expectSame(agent, id, receiving);
  });

  it.each([20_000, 100_000, 250_000])('ends well when one dies after %i bytes', async (after) => {
    const relays = await mortalRelays(3);
    const { agent, id, description } = await sentTwice(addressesOf(relays));
    relays[0]?.proxy.cutAll();
    relays[0]?.proxy.setFault({ type: 'cut', direction: 'down', after });
    const { id: receiving } = await startReceive(agent, description);
    await expectSame(agent, id, receiving);
  });

  it('waits when both relays of a chunk are dead, says which ones, and goes on with either', async () => {
    const relays = await mortalRelays(2);
    const { agent, id, description } = await sentTwice(addressesOf(relays));
    for (const { die } of relays) die();
    const { id: receiving } = await startReceive(agent, description);
    await agent.until(() => {
      const { state, failure } = agent.get(receiving);
      return (
        state === 'waiting' && relays.every(({ address }) => failure?.message.includes(address) === true)
      );
    });
    relays[1]?.revive();
    await expectSame(agent, id, receiving);
  });

  it.each([
    ['bytes of another size', bodyLie((body) => longer(body, 1))],
    ['bytes under a wrong tag', bodyLie((body) => randomBytes(body.length))],
    [
      'that it has nothing',
      ({ command }, honest) =>
        command.type === 'FGET' ? { response: { type: 'ERR', error: { type: 'AUTH' } } } : honest,
    ],
  ] as readonly [string, Lie][])('survives a relay that answers with %s', async (_, lie) => {
    const [honest, liar] = [await loopbackRelay(), await startLyingRelay()];
    const { agent, id, description } = await sentTwice([honest.address, liar.address]);
    liar.lie(lie);
    const { id: receiving } = await startReceive(agent, description);
    await expectSame(agent, id, receiving);
  });

  it('survives a relay that hands out bytes of its own making', async () => {
    const [honest, liar] = [await loopbackRelay(), await startLyingRelay()];
    const { agent, id, description } = await sentTwice([honest.address, liar.address]);
    liar.tamper((chunk) => randomBytes(chunk.length));
    const { id: receiving } = await startReceive(agent, description);
    await expectSame(agent, id, receiving);
  });

  it('survives a relay that is not who it should be, with one warning', async () => {
    const relays = [await loopbackRelay(), await loopbackRelay()];
    const { agent, id, description } = await sentTwice(addressesOf(relays));
    const { address } = relays[0] ?? { address: '' };
    const { id: receiving } = await startReceive(
      agent,
      description.replace(address, withOtherFingerprint(address)),
    );
    await expectSame(agent, id, receiving);
    expect(eventsOf(agent, receiving, 'transfer.warning').length).toBeLessThanOrEqual(1);
  });

  it('fails when no relay has a chunk, and tells what each said', async () => {
    const [one, other] = [await startLyingRelay(), await startLyingRelay()];
    const { agent, description } = await sentTwice([one.address, other.address], 1000);
    one.lie(({ command }, honest) =>
      command.type === 'FGET' ? { response: { type: 'ERR', error: { type: 'AUTH' } } } : honest,
    );
    other.tamper((chunk) => randomBytes(chunk.length));
    const { id } = await startReceive(agent, description);
    const { message } = await failureOf(agent, id);
    expect(message).toMatch(/^None of 2 relays could give part 1 of this file\./);
    expect(message).toContain(one.address);
    expect(message).toContain(other.address);
  });

  it('asks another relay when the first chunk of a large one stands still, before that counts as a failure', async () => {
    const relays = await mortalRelays(2);
    // All other chunks wait for the first one, which tells the name and the length.
    const { agent, id, description } = await sentTwice(addressesOf(relays), 9 * MIB);
    const receiving = await whenOneStandsStill(relays, MIB, () => startReceive(agent, description));
    await expectSame(agent, id, receiving);
    expect(agent.stats().flatMap(({ failures }) => failures)).toEqual([]);
  });
});

describe('A receive of a link whose description is on two relays', () => {
  /** Sends a file to two relays, with a link of two replicas. */
  async function linkedTwice(
    relays: readonly MortalRelay[],
  ): Promise<{ agent: TestAgent; id: string; link: string }> {
    const agent = await eagerAgent({ servers: addressesOf(relays) });
    const { id } = await agent.send(
      { path: await sourceOf(agent, 1000), replicas: 2, redirect: 'always' },
      CALLER,
    );
    await agent.reached(id, 'completed');
    const { link = '' } = (await agent.descriptions(id)).recipients[0] ?? {};
    return { agent, id, link };
  }

  it.each([0, 1])('ends well when relay %i of two is dead from the start', async (index) => {
    const relays = await mortalRelays(2);
    const { agent, id, link } = await linkedTwice(relays);
    relays[index]?.die();
    const { id: receiving } = await agent.receive({ link, approveRelays: 'all' }, CALLER);
    await expectSame(agent, id, receiving);
  });

  it('asks the other relay when one stands still', async () => {
    const relays = await mortalRelays(2);
    const { agent, id, link } = await linkedTwice(relays);
    const receiving = await whenOneStandsStill(relays, 30_000, () =>
      agent.receive({ link, approveRelays: 'all' }, CALLER),
    );
    await expectSame(agent, id, receiving);
    expect(agent.stats().flatMap(({ failures }) => failures)).toEqual([]);
  });

  it('fails when none has it, and tells what each said', async () => {
    const relays = await mortalRelays(2);
    const { agent, id, link } = await linkedTwice(relays);
    agent.revoke({ id });
    await agent.until(() => held(relays) === 0);
    const { id: receiving } = await agent.receive({ link, approveRelays: 'all' }, CALLER);
    const { code, message } = await failureOf(agent, receiving);
    expect(code).toBe('CHUNK_GONE');
    for (const address of addressesOf(relays)) expect(message).toContain(address);
  });
});

/** Starts a receive; the first relay to be asked stands still after so many bytes, the other one does not. */
async function whenOneStandsStill(
  relays: readonly MortalRelay[],
  after: number,
  start: () => Promise<TransferInfo>,
): Promise<string> {
  for (const { proxy } of relays) {
    proxy.cutAll();
    proxy.setFault({ type: 'stall', direction: 'down', after });
  }
  const { id: receiving } = await start();
  const still = await vi.waitUntil(() => relays.find(({ proxy }) => proxy.strikes() > 0), {
    timeout: 30_000,
    interval: 5,
  });
  for (const relay of relays) if (relay !== still) relay.proxy.setFault();
  return receiving;
}
