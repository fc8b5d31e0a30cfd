import { describe, expect, it } from 'vitest';

import type { SendParams } from '#src/agent/index.js';
import { formatDescription, parseDescription } from '#src/protocol/index.js';
import { eagerAgent, expectSame, failureOf, startReceive } from '../faults/agent-fault-samples.js';
import { CALLER, type TestAgent } from './agent-samples.js';
import { countedRelay } from './relay-samples.js';
import { addressesOf, held, mortalRelays, portsOf, sourceOf } from './replica-samples.js';

async function sent(agent: TestAgent, params: Partial<SendParams>): Promise<string> {
  const { id } = await agent.send({ path: await sourceOf(agent), redirect: 'never', ...params }, CALLER);
  await agent.reached(id, 'completed');
  return id;
}

async function describedTo(agent: TestAgent, id: string): Promise<string> {
  return (await agent.descriptions(id)).recipients[0]?.description ?? '';
}

describe('a send with several replicas', () => {
  it('puts each chunk on so many relays, and the descriptions name them all', async () => {
    const relays = await Promise.all([countedRelay(), countedRelay(), countedRelay()]);
    const agent = await eagerAgent({ servers: addressesOf(relays) });
    const id = await sent(agent, { replicas: 2 });
    expect(agent.get(id)).toMatchObject({
      chunksDone: 5,
      chunksTotal: 5,
      bytesDone: agent.get(id).encryptedSize,
      replicas: { wanted: 2, required: 2, complete: 2 },
    });
    expect(held(relays)).toBe(10);
    const { sender, recipients } = await agent.descriptions(id);
    for (const text of [sender, recipients[0]?.description ?? '']) {
      // What is emitted is the reference's style: the same comes from what was read.
      expect(formatDescription(parseDescription(text))).toBe(text);
      for (const ports of portsOf(text)) expect(new Set(ports).size).toBe(2);
      // A digest stands at the first replica of each chunk only.
      expect(text.match(/- \d+:[^:]+:[^:\n]+:[^:\n]+/g)).toHaveLength(5);
      expect(text.match(/- \d+:/g)).toHaveLength(10);
    }
    const { id: receiving } = await startReceive(agent, recipients[0]?.description ?? '');
    await expectSame(agent, id, receiving);
    expect(agent.errors).toEqual([]);
  });

  it('takes relays of different operators first', async () => {
    const relays = await Promise.all(Array.from({ length: 4 }, () => countedRelay()));
    const agent = await eagerAgent();
    for (const [index, { address }] of relays.entries())
      agent.addServer({ address, operator: index < 3 ? 'one' : 'other' });
    const id = await sent(agent, { replicas: 2 });
    // The only relay of the other operator has a copy of each chunk.
    for (const ports of portsOf(await describedTo(agent, id))) expect(ports).toContain(relays[3]?.port);
  });

  it('is refused at once when there are too few relays, with what is missing', async () => {
    const relays = await Promise.all([countedRelay(), countedRelay()]);
    const agent = await eagerAgent({ servers: addressesOf(relays) });
    const path = await sourceOf(agent);
    await expect(agent.send({ path, replicas: 3 }, CALLER)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(
        /must be on 3 relays, and the server list has 2: add .*, or ask for fewer/,
      ),
    });
    const twice = [relays[0].address, relays[0].address];
    await expect(agent.send({ path, replicas: 2, servers: twice }, CALLER)).rejects.toMatchObject({
      message: expect.stringContaining('the call names 1'),
    });
    await expect(agent.send({ path, replicas: 1, replicasRequired: 2 }, CALLER)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    expect(agent.list({ limit: 1 }).items).toEqual([]);
  });

  it('fails when a relay that it needs refuses, and the message names it', async () => {
    const [open, strict] = await Promise.all([countedRelay(), countedRelay({ createPassword: 'secret' })]);
    const agent = await eagerAgent({ servers: addressesOf([open, strict]) });
    const { id } = await agent.send({ path: await sourceOf(agent), replicas: 2 }, CALLER);
    expect(await failureOf(agent, id)).toMatchObject({
      code: 'RELAY_REFUSED',
      message: expect.stringMatching(
        new RegExp(`^Only 1 relay left .* fewer replicas\\. .*${strict.address}.*password`),
      ),
    });
  });

  it('is revoked on all relays, its stored descriptions too', async () => {
    const relays = await Promise.all([countedRelay(), countedRelay(), countedRelay()]);
    const agent = await eagerAgent({ servers: addressesOf(relays) });
    const id = await sent(agent, { replicas: 2, redirect: 'always' });
    const [recipient] = (await agent.descriptions(id)).recipients;
    expect(recipient?.redirect).toBe(true);
    expect(held(relays)).toBe(12);
    expect(agent.revoke({ id })).toEqual({ deletions: 12 });
    await agent.until(() => held(relays) === 0);
    expect(agent.get(id).replicas).toEqual({ wanted: 2, required: 2, complete: 0 });
  });

  it('makes later recipients known to all relays', async () => {
    const relays = await Promise.all([countedRelay(), countedRelay()]);
    const agent = await eagerAgent({ servers: addressesOf(relays) });
    const id = await sent(agent, { replicas: 2 });
    const { recipients } = await agent.addRecipients(id, 2);
    const { description } = recipients[2] ?? { description: '' };
    for (const ports of portsOf(description)) expect(ports).toHaveLength(2);
    const { id: receiving } = await startReceive(agent, description);
    await expectSame(agent, id, receiving);
  });

  it('takes the number of the settings unless it has its own', async () => {
    const relays = await Promise.all([countedRelay(), countedRelay()]);
    const agent = await eagerAgent({ servers: addressesOf(relays) });
    agent.setSettings({ replicas: 2 });
    expect(agent.get(await sent(agent, {})).replicas).toMatchObject({ wanted: 2, complete: 2 });
    expect(agent.get(await sent(agent, { replicas: 1 })).replicas).toMatchObject({ wanted: 1, complete: 1 });
  });
});

describe('with two replicas over three relays', () => {
  it.each([0, 30_000, 300_000])(
    'one that dies after %i bytes of an upload does not keep the send from its end',
    async (after) => {
      const relays = await mortalRelays(3);
      const agent = await eagerAgent({ servers: addressesOf(relays) });
      const { id } = await agent.send(
        { path: await sourceOf(agent), replicas: 2, redirect: 'never' },
        CALLER,
      );
      relays[0]?.proxy.setFault({ type: 'cut', direction: 'up', after });
      await agent.reached(id, 'completed');
      relays[0]?.die();
      const description = await describedTo(agent, id);
      for (const ports of portsOf(description)) expect(new Set(ports).size).toBe(2);
      const { id: receiving } = await startReceive(agent, description);
      await expectSame(agent, id, receiving);
    },
  );

  it('two that die make the send wait, and it says which ones', async () => {
    const relays = await mortalRelays(3);
    const agent = await eagerAgent({ servers: addressesOf(relays) });
    const [one, two] = relays;
    one?.die();
    two?.die();
    const { id } = await agent.send({ path: await sourceOf(agent), replicas: 2, redirect: 'never' }, CALLER);
    await agent.until(() => {
      const { state, failure } = agent.get(id);
      return (
        state === 'waiting' &&
        [one, two].every((relay) => failure?.message.includes(relay?.address ?? 'none') === true)
      );
    });
    two?.revive();
    await agent.reached(id, 'completed');
  });
});
