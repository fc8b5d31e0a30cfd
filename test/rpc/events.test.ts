import { setTimeout as delay } from 'node:timers/promises';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { openSubscription } from '#src/rpc/event-subscription.js';
import { createFakeAgent, type FakeAgent } from '../support/fake-agent.js';
import { type RawRpcClient, type RpcMessage, testRpc, type ToldEvent } from '../support/rpc-client.js';

function commit(agent: FakeAgent, count: number, transferId = 't1'): void {
  for (let each = 0; each < count; each++)
    agent.commit({ type: 'transfer.revoked', transferId, data: { pending: each } });
}

/** The numbers of the events that a client gets, until one has the given number. */
async function numbersUntil(client: RawRpcClient, last: number): Promise<number[]> {
  const numbers: number[] = [];
  while (numbers.at(-1) !== last) {
    const { method, params } = (await client.next()) as RpcMessage;
    expect(method).toBe('event');
    numbers.push(params.seq as number);
  }
  return numbers;
}

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

describe('A subscription', () => {
  it('tells what happens from then on, as notifications with its name', async () => {
    const { agent, client } = await testRpc();
    const caller = await client('read');
    commit(agent, 3);
    const { result } = await caller.call('events.subscribe');
    expect(result).toEqual({ subscription: 's1', seq: 3, lagged: false, oldest: 1 });
    const event = agent.commit({ type: 'servers.changed', data: {} });
    expect(await caller.next()).toEqual({
      jsonrpc: '2.0',
      method: 'event',
      params: { subscription: 's1', ...event },
    });
    agent.progress('t1', 5);
    expect(await caller.next()).toMatchObject({
      params: { type: 'transfer.progress', data: { bytesDone: 5 } },
    });
    await caller.call('events.unsubscribe', { subscription: 's1' });
    commit(agent, 1);
    await caller.call('agent.info');
    expect(caller.messages).toHaveLength(2);
  });

  it('tells only the types and the transfer that were asked for, of the past and of the present', async () => {
    const { agent, client } = await testRpc();
    const caller = await client('read');
    const happen = (): void => {
      commit(agent, 1, 'a');
      commit(agent, 1, 'b');
      agent.commit({ type: 'servers.changed', data: {} });
      agent.progress('a', 1);
    };
    happen();
    await caller.call('events.subscribe', { since: 0, transferId: 'b' });
    await caller.call('events.subscribe', { since: 0, types: ['servers.changed', 'transfer.progress'] });
    happen();
    await caller.call('agent.info');
    const events = caller.messages.map((message) => (message as RpcMessage).params as ToldEvent);
    const told = (name: string): unknown[] =>
      events.filter(({ subscription }) => subscription === name).map(({ seq, type }) => seq ?? type);
    expect(told('s1')).toEqual([2, 5]);
    expect(told('s2')).toEqual([3, 6, 'transfer.progress']);
  });

  it('tells the past first and then the present, without a gap or a repetition, while events go on', async () => {
    const { agent, client } = await testRpc({ limits: { replayPage: 10 } });
    commit(agent, 95);
    let stop = false;
    const happening = (async () => {
      while (!stop) {
        commit(agent, 3);
        await new Promise(setImmediate);
      }
    })();
    const clients = await Promise.all(range(1, 8).map(() => client('read')));
    const seen = await Promise.all(
      clients.map(async (caller, index) => {
        const since = index * 10;
        const { result } = await caller.call('events.subscribe', { since });
        expect(result).toMatchObject({ seq: since, lagged: false });
        return { since, numbers: await numbersUntil(caller, 600) };
      }),
    );
    stop = true;
    await happening;
    for (const { since, numbers } of seen) expect(numbers).toEqual(range(since + 1, 600));
  });

  it('tells how far it is while nothing comes that was asked for, if that is wanted', async () => {
    const { agent, client } = await testRpc({ limits: { position: 10 } });
    const caller = await client('read');
    commit(agent, 3);
    const types = ['servers.changed'];
    await caller.call('events.subscribe', { since: 0, types });
    await caller.call('events.subscribe', { since: 0, types, positions: true });
    const position = (seq: number): object => ({
      jsonrpc: '2.0',
      method: 'position',
      params: { subscription: 's2', seq },
    });
    expect(await caller.next()).toEqual(position(3));
    commit(agent, 20);
    expect(await caller.next()).toEqual(position(23));
    await caller.call('events.unsubscribe', { subscription: 's1' });
    agent.commit({ type: 'servers.changed', data: {} });
    expect(await caller.next()).toMatchObject({ method: 'event', params: { subscription: 's2', seq: 24 } });
    await delay(50);
    expect(caller.messages).toHaveLength(3);
  });

  it('in a batch begins after the answer to the batch', async () => {
    const { agent, client } = await testRpc();
    const caller = await client('read');
    commit(agent, 2);
    caller.send([
      { jsonrpc: '2.0', id: 1, method: 'events.subscribe', params: { since: 0 } },
      { jsonrpc: '2.0', id: 2, method: 'agent.info' },
    ]);
    expect(await caller.next()).toHaveLength(2);
    expect(await numbersUntil(caller, 2)).toEqual([1, 2]);
  });

  it('says when events before it are gone, and goes on with the oldest that is kept', async () => {
    const { agent, client } = await testRpc();
    commit(agent, 20);
    agent.forgetBefore(11);
    const caller = await client('read');
    expect((await caller.call('events.subscribe', { since: 5 })).result).toMatchObject({
      lagged: true,
      oldest: 11,
      seq: 10,
    });
    expect(await numbersUntil(caller, 20)).toEqual(range(11, 20));
    expect((await caller.call('events.subscribe', { since: 10 })).result).toMatchObject({ lagged: false });
    expect((await caller.call('events.subscribe', { since: 999 })).result).toMatchObject({
      lagged: true,
      seq: 20,
    });
  });
});

describe('A client that is slow to read', () => {
  const big = 'x'.repeat(100_000);
  const commitBig = (agent: FakeAgent): number =>
    agent.commit({ type: 'transfer.approval', data: { servers: [], reason: big } }).seq;

  it('misses progress, then is closed with 1013, and misses no event when it comes back', async () => {
    const { agent, client } = await testRpc({ limits: { eventBytes: 1_000_000, progressBytes: 100_000 } });
    const slow = await client('read');
    await slow.call('events.subscribe');
    slow.socket.pause();
    // What the kernel takes is some MB; whatever it is, the bound on top of it is reached in the end.
    for (let round = 0; round < 1000 && agent.listeners() > 0; round++) {
      commitBig(agent);
      agent.progress('t1', round);
      if (round % 20 === 0) await new Promise(setImmediate);
      if (round === 200) slow.socket.resume();
    }
    expect(await slow.closed).toEqual({ code: 1013, reason: 'too slow: reconnect with since' });
    const params = slow.messages.map((message) => (message as RpcMessage).params as ToldEvent);
    const numbers = params.flatMap(({ seq }) => seq ?? []);
    const last = numbers.at(-1)!;
    expect(numbers).toEqual(range(1, last));
    expect(params.length - numbers.length).toBeLessThan(last);

    const again = await client('read');
    const newest = commitBig(agent);
    await again.call('events.subscribe', { since: last });
    expect(await numbersUntil(again, newest)).toEqual(range(last + 1, newest));
  });

  it('gets a long past at its own pace, and nobody else waits for it', async () => {
    const { agent, client } = await testRpc({ limits: { progressBytes: 300_000, eventBytes: 4_000_000 } });
    for (let each = 0; each < 400; each++) commitBig(agent);
    const [slow, quick] = [await client('read'), await client('read')];
    await slow.call('events.subscribe', { since: 380 });
    slow.socket.pause();
    await quick.call('events.subscribe', { since: 399 });
    expect(await numbersUntil(quick, 400)).toEqual([400]);
    slow.socket.resume();
    expect(await numbersUntil(slow, 400)).toEqual(range(381, 400));
  });

  it('misses nothing by events that it did not ask for and that are not kept while it reads', async () => {
    const agent = createFakeAgent();
    agent.commit({ type: 'servers.changed', data: {} });
    commit(agent, 100);
    agent.commit({ type: 'servers.changed', data: {} });
    const told: string[] = [];
    let goOn = (): void => undefined;
    const overtaken = vi.fn();
    const subscription = openSubscription({
      agent,
      name: 's1',
      token: agent.createToken({ name: 'x', scope: 'read' }),
      query: { since: 0, types: ['servers.changed'] },
      outlet: {
        durable: (text) => told.push(text),
        progress: () => undefined,
        isFull: () => told.length === 1,
        drained: () => new Promise((resolve) => (goOn = resolve)),
        overtaken,
        failed: (error) => {
          throw error;
        },
      },
      page: 10,
      positionMs: 1000,
    });
    onTestFinished(subscription.stop);
    subscription.start();
    agent.forgetBefore(102);
    told.push('The first one was read.');
    goOn();
    await delay(0);
    expect(overtaken).not.toHaveBeenCalled();
    expect(told.map((text) => text.includes('"seq":102'))).toEqual([false, false, true]);
  });
});
