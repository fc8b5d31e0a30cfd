import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { describe, expect, it, onTestFinished } from 'vitest';

import { RPC_LIMITS } from '#src/rpc/index.js';

import { openRpcClient, testRpc } from '../support/rpc-client.js';

describe('A client that asks for too much', () => {
  it('is disconnected with 1009 for a message that is too long, alone', async () => {
    const { client } = await testRpc({ limits: { messageBytes: 1000 } });
    const [bad, good] = [await client(), await client()];
    bad.sendText('x'.repeat(1001));
    expect(await bad.closed).toMatchObject({ code: 1009 });
    expect((await good.call('agent.info')).result).toBeDefined();
  });

  it('is disconnected for binary messages and for text that is not UTF-8', async () => {
    const { client } = await testRpc();
    const binary = await client();
    binary.socket.send(Buffer.from('{}'));
    expect(await binary.closed).toMatchObject({ code: 1003 });
    const wrong = await client();
    wrong.socket.send(Buffer.from([0xff, 0xfe]), { binary: false });
    expect(await wrong.closed).toMatchObject({ code: 1007 });
  });

  it('is refused when there are too many connections, until one ends', async () => {
    const { agent, url, client } = await testRpc({ limits: { connections: 2 } });
    const first = await client();
    await client();
    await expect(openRpcClient(url, agent.token('read'))).rejects.toThrow('503');
    first.socket.close();
    await first.closed;
    await expect.poll(async () => (await openRpcClient(url, agent.token('read'))).socket.readyState).toBe(1);
  });

  it('gets LIMIT_EXCEEDED for calls beyond those in flight, and goes on afterwards', async () => {
    const { agent, client } = await testRpc();
    let finish = (): void => undefined;
    agent.testing = new Promise((resolve) => {
      finish = resolve;
    });
    const caller = await client();
    const address = 'xftp://server';
    const calls = Array.from({ length: RPC_LIMITS.callsInFlight }, () =>
      caller.call('servers.test', { address }),
    );
    const { error } = await caller.call('agent.info');
    expect(error).toMatchObject({ code: 52, data: { code: 'LIMIT_EXCEEDED' } });
    finish();
    for (const call of calls) expect((await call).result.ok).toBe(true);
    expect((await caller.call('agent.info')).result).toBeDefined();
  });

  it('gets LIMIT_EXCEEDED for too many subscriptions, until it ends one', async () => {
    const { agent, client } = await testRpc();
    const caller = await client();
    const names: string[] = [];
    for (let count = 0; count < RPC_LIMITS.subscriptions; count++)
      names.push((await caller.call('events.subscribe')).result.subscription as string);
    expect((await caller.call('events.subscribe')).error?.data.code).toBe('LIMIT_EXCEEDED');
    expect((await caller.call('events.unsubscribe', { subscription: names[3] })).result).toEqual({});
    expect((await caller.call('events.unsubscribe', { subscription: names[3] })).error?.code).toBe(8);
    expect((await caller.call('events.subscribe')).error).toBeUndefined();
    expect(agent.listeners()).toBe(RPC_LIMITS.subscriptions);
    caller.socket.close();
    await expect.poll(agent.listeners).toBe(0);
  });
});

describe('A client that does not read', () => {
  it('is not read either while its answers wait, and gets them all in the end', async () => {
    const { agent, client } = await testRpc({ limits: { answerBytes: 100_000 } });
    const [slow, watcher] = [await client(), await client()];
    agent.onGet = (id) => ({ ...agent.list({ limit: 1 }).items[0]!, id, fileName: 'x'.repeat(1_000_000) });
    agent.send({ path: '/a' }, { tokenId: 1 }).catch(() => undefined);
    let asked = 0;
    const get = agent.onGet;
    agent.onGet = (id) => {
      asked += 1;
      return get(id);
    };
    slow.socket.pause();
    const call = async (index: number): Promise<string> => {
      const { result } = await slow.call('transfers.get', { id: String(index) });
      return result.id as string;
    };
    // What one reading of the socket brings is answered whole; what comes later is not read.
    const calls = Array.from({ length: 30 }, (_, index) => call(index));
    for (let count = 0; count < 50; count++) await watcher.call('agent.info');
    for (let index = 30; index < 60; index++) calls.push(call(index));
    for (let count = 0; count < 50; count++) await watcher.call('agent.info');
    expect(asked).toBeLessThan(40);
    slow.socket.resume();
    expect(await Promise.all(calls)).toEqual(Array.from({ length: 60 }, (_, index) => String(index)));
  });

  it('is dropped when it does not answer pings any more; one that does stays', async () => {
    const { agent, client } = await testRpc({ limits: { heartbeat: 1000 } });
    const [dead, live] = [await client(), await client()];
    for (const caller of [dead, live]) await caller.call('events.subscribe');
    dead.socket.pause();
    await expect.poll(agent.listeners, { timeout: 20_000 }).toBe(1);
    expect((await live.call('agent.info')).result).toBeDefined();
    dead.socket.resume();
    expect(await dead.closed).toMatchObject({ code: 1006 });
  });

  it('that has closed its half is let go', async () => {
    const { agent, client } = await testRpc();
    const caller = await client();
    await caller.call('events.subscribe');
    // The TCP socket below, without the goodbye of WebSocket.
    const tcp = (caller.socket as unknown as { _socket: { end: () => void } })._socket;
    tcp.end();
    await expect.poll(agent.listeners).toBe(0);
  });
});

describe('Programs that connect and say nothing', () => {
  it('keep nobody out: the oldest of their sockets are closed, the newest and authenticated clients stay', async () => {
    const { client, url } = await testRpc({ limits: { head: 600_000 } });
    const early = await client();
    const idle: Socket[] = [];
    onTestFinished(() => {
      for (const socket of idle) socket.destroy();
    });
    const { hostname, port } = new URL(url);
    for (let count = 0; count < 200; count++) {
      const socket = connect({ host: hostname, port: Number(port) });
      socket.on('error', () => undefined);
      socket.resume();
      idle.push(socket);
      await once(socket, 'connect');
    }
    const late = await client();
    for (const each of [early, late]) expect((await each.call('agent.info')).result).toBeDefined();
    await expect.poll(() => idle[0]?.closed).toBe(true);
    expect(idle.at(-1)?.closed).toBe(false);
  });
});
