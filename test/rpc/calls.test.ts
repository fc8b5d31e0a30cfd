import { readFile } from 'node:fs/promises';

import { describe, expect, it } from 'vitest';

import { MAX_DESCRIPTION_LENGTH, XftpError } from '#src/protocol/index.js';
import { METHODS, RPC_LIMITS } from '#src/rpc/index.js';

import { testRpc } from '../support/rpc-client.js';

const MANIFEST = new URL('../../package.json', import.meta.url);

describe('A call', () => {
  it('is answered with its result and its id, whatever kind of id', async () => {
    const client = await (await testRpc()).client();
    for (const id of [1, 'a', null, 1.5]) {
      client.send({ jsonrpc: '2.0', id, method: 'transfers.list', params: { limit: 5 } });
      expect(await client.next()).toEqual({ jsonrpc: '2.0', id, result: { items: [] } });
    }
  });

  it('of unreadable or wrong JSON-RPC gets the standard code, and the connection goes on', async () => {
    const client = await (await testRpc()).client();
    const expectError = async (text: string, code: number, id: unknown = null): Promise<void> => {
      client.sendText(text);
      expect(await client.next()).toMatchObject({ jsonrpc: '2.0', id, error: { code } });
    };
    await expectError('{"jsonrpc"', -32700);
    await expectError('', -32700);
    await expectError('[]', -32600);
    await expectError('1', -32600);
    await expectError('null', -32600);
    await expectError('{"id":1,"method":"agent.info"}', -32600, 1);
    await expectError('{"jsonrpc":"2.0","id":{},"method":"agent.info"}', -32600);
    await expectError('{"jsonrpc":"2.0","id":2,"method":7}', -32600, 2);
    await expectError('{"jsonrpc":"2.0","id":3,"method":"agent.info","params":"x"}', -32600, 3);
    await expectError('{"jsonrpc":"2.0","id":4,"method":"agent.nothing"}', -32601, 4);
    await expectError('{"jsonrpc":"2.0","id":5,"method":"__proto__"}', -32601, 5);
    await expectError('{"jsonrpc":"2.0","id":6,"method":"constructor"}', -32601, 6);
    await expectError('{"jsonrpc":"2.0","id":7,"method":"agent.info","params":[]}', -32602, 7);
    expect((await client.call('agent.info')).result.pid).toBe(process.pid);
  });

  it('with wrong parameters is told which ones, without their values', async () => {
    const client = await (await testRpc()).client();
    const wrong = async (method: string, params: unknown, ...words: string[]): Promise<void> => {
      const { error } = await client.call(method, params);
      expect(error).toMatchObject({ code: -32602, data: { code: 'INVALID_ARGUMENT', kind: 'invalid' } });
      for (const word of [method, ...words]) expect(error?.message).toContain(word);
      expect(error?.message).not.toContain('SECRET');
    };
    await wrong('transfers.get', {}, 'id');
    await wrong('transfers.get', { id: 5 }, 'id', 'a text');
    await wrong('transfers.get', { id: 'x', SURPLUS: 'SECRET' }, 'SURPLUS');
    await wrong('transfers.send', { path: 'SECRET/relative' }, 'path', 'absolute');
    await wrong('transfers.send', { path: '/a\0SECRET' }, 'path', 'absolute');
    await wrong('transfers.send', { path: '/a', recipients: 0 }, 'recipients');
    await wrong('transfers.send', { path: '/a', recipients: 10_001 }, 'recipients');
    await wrong('transfers.send', { path: '/a', priority: 11 }, 'priority');
    await wrong('transfers.send', { path: '/a', fileName: 'ä'.repeat(128) }, 'fileName', '255 bytes');
    await wrong('transfers.send', { path: '/a', fileName: '../SECRET' }, 'fileName');
    await wrong('transfers.send', { path: '/a', redirect: 'SECRET' }, 'redirect');
    await wrong('transfers.receive', {}, 'description', 'link');
    await wrong('transfers.receive', { description: 'SECRET', link: 'SECRET' }, 'exactly one');
    await wrong('transfers.list', { limit: 1001 }, 'limit');
    await wrong('events.subscribe', { since: -1 }, 'since');
    await wrong('events.subscribe', { types: ['SECRET'] }, 'types');
    await wrong('settings.set', { deadlineHours: 0 }, 'deadlineHours', 'more than 0');
    await wrong('settings.set', { replicas: 0 }, 'replicas', 'at least 1');
    await wrong('servers.add', { preset: 'SECRET' }, 'preset');
    await wrong('tokens.create', { name: 'x', scope: 'admin', folders: ['SECRET'] }, 'folders');
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`member${String(index)}`, 1]));
    expect((await client.call('agent.info', many)).error?.message.length).toBeLessThan(600);
  });

  it('sets every setting to what it is', async () => {
    const client = await (await testRpc()).client();
    const { result } = await client.call('settings.get');
    expect((await client.call('settings.set', result)).error).toBeUndefined();
  });

  it('that fails has the number, the code and the kind of the failure, and what the relay said', async () => {
    const { agent, client } = await testRpc();
    const caller = await client();
    expect((await caller.call('transfers.get', { id: 'nothing' })).error).toEqual({
      code: 8,
      message: 'There is no such transfer.',
      data: { code: 'NOT_FOUND', kind: 'invalid', temporary: false },
    });
    agent.onGet = () => {
      throw new XftpError('RELAY_TEMPORARY', 'The relay is busy.', { wire: 'INTERNAL' });
    };
    expect((await caller.call('transfers.get', { id: 'x' })).error).toEqual({
      code: 14,
      message: 'The relay is busy.',
      data: { code: 'RELAY_TEMPORARY', kind: 'temporary', temporary: true, wire: 'INTERNAL' },
    });
  });

  it('that meets a bug says so to the client without detail, and all of it to the report', async () => {
    const { agent, client, problems } = await testRpc();
    const caller = await client();
    const bug = new TypeError('SECRET of the database');
    agent.onGet = () => {
      throw bug;
    };
    const { error } = await caller.call('transfers.get', { id: 'x' });
    expect(error).toMatchObject({ code: -32603 });
    expect(JSON.stringify(error)).not.toMatch(/SECRET|TypeError|\.js/);
    expect(problems).toEqual([{ problem: expect.stringContaining('transfers.get') as string, cause: bug }]);
  });

  it('needs a token with the scope of its method', async () => {
    const { client } = await testRpc();
    const clients = { read: await client('read'), submit: await client('submit'), admin: await client() };
    const rank = { read: 0, submit: 1, admin: 2 };
    for (const [name, { scope }] of Object.entries(METHODS)) {
      for (const has of ['read', 'submit', 'admin'] as const) {
        if (name === 'agent.shutdown' && has === 'admin') continue;
        const { error } = await clients[has].call(name, { nonsense: true });
        expect([name, has, error?.code]).toEqual([name, has, rank[has] >= rank[scope] ? -32602 : 51]);
      }
    }
    expect((await clients.read.call('settings.set', {})).error?.data).toMatchObject({ code: 'FORBIDDEN' });
  });

  it('may carry the longest description', async () => {
    const { agent, client } = await testRpc();
    const description = 'a\n'.repeat(MAX_DESCRIPTION_LENGTH / 2);
    const { result } = await (await client()).call('transfers.receive', { description });
    expect(result.direction).toBe('receive');
    expect(agent.received[0]?.params).toEqual({ description });
  });
});

describe('A batch', () => {
  it('is answered as a whole, in order, but for its notifications', async () => {
    const { agent, client } = await testRpc();
    const caller = await client();
    caller.send([
      { jsonrpc: '2.0', id: 1, method: 'transfers.send', params: { path: '/a' } },
      { jsonrpc: '2.0', method: 'transfers.send', params: { path: '/b' } },
      7,
      { jsonrpc: '2.0', id: 'n', method: 'nothing' },
      { jsonrpc: '2.0', id: 2, method: 'transfers.list' },
    ]);
    const answers = await caller.next();
    expect(answers).toMatchObject([
      { id: 1, result: { path: '/a' } },
      { id: null, error: { code: -32600 } },
      { id: 'n', error: { code: -32601 } },
      { id: 2, result: { items: [{ path: '/b' }, { path: '/a' }] } },
    ]);
    expect(agent.received).toHaveLength(2);
  });

  it('of notifications only is not answered, nor is a single one, right or wrong', async () => {
    const { agent, client } = await testRpc();
    const caller = await client();
    caller.send([{ jsonrpc: '2.0', method: 'transfers.send', params: { path: '/a' } }]);
    caller.send({ jsonrpc: '2.0', method: 'transfers.send', params: { path: '/b' } });
    caller.send({ jsonrpc: '2.0', method: 'transfers.send', params: { path: 'wrong' } });
    caller.send({ jsonrpc: '2.0', method: 'nothing' });
    await caller.call('agent.info');
    expect(caller.messages).toEqual([]);
    expect(agent.received).toHaveLength(2);
  });

  it('that is empty or too long is an error', async () => {
    const client = await (await testRpc()).client();
    const request = { jsonrpc: '2.0', id: 1, method: 'agent.info' };
    client.send(Array.from({ length: RPC_LIMITS.batchSize + 1 }, () => request));
    expect(await client.next()).toMatchObject({ id: null, error: { code: -32600 } });
    client.send(Array.from({ length: RPC_LIMITS.batchSize }, () => request));
    expect(await client.next()).toHaveLength(RPC_LIMITS.batchSize);
  });
});

describe('Methods', () => {
  it('each work when they are called as the document says', async () => {
    const { agent, client, problems } = await testRpc();
    const caller = await client();
    const transfer = (await caller.call('transfers.send', { path: '/a' })).result.id as string;
    const server = (await caller.call('servers.add', { preset: 'simplex' })).result.servers[5].id as number;
    const subscription = (await caller.call('events.subscribe', {})).result.subscription as string;
    const { id: token } = agent.createToken({ name: 'other', scope: 'read' });
    const { version } = JSON.parse(await readFile(MANIFEST, 'utf8')) as { version: string };
    expect(version).toBeTypeOf('string');
    const values: Record<string, unknown> = {
      address: agent.listServers()[0]?.address,
      bytesPerSecond: 1000,
      count: 2,
      description: 'yaml',
      name: 'script',
      path: '/file',
      priority: 3,
      scope: 'read',
      senderDescription: 'yaml',
      subscription,
    };
    const idOf: Record<string, unknown> = { transfers: transfer, servers: server, tokens: token };
    /** Where one of several members is needed. */
    const choice: Record<string, object> = {
      'transfers.receive': { description: 'yaml' },
      'transfers.inspect': { link: 'simplex:/file' },
      'transfers.revoke': { id: transfer },
      'servers.add': { address: agent.listServers()[0]?.address },
    };
    const { result: document } = await caller.call('rpc.discover');
    const last = ['transfers.remove', 'agent.shutdown'];
    const methods = document.methods as { name: string; params: { name: string; required: boolean }[] }[];
    const rest = methods.filter(({ name }) => !last.includes(name));
    let stopped = false;
    agent.onShutdown = () => {
      stopped = true;
    };
    for (const { name, params } of [...rest, ...last.map((each) => methods.find((m) => m.name === each)!)]) {
      const given = params
        .filter(({ required }) => required)
        .map((param) => [param.name, param.name === 'id' ? idOf[name.split('.')[0]!] : values[param.name]]);
      const answer = await caller.call(name, { ...Object.fromEntries(given), ...choice[name] });
      expect([name, answer.error]).toEqual([name, undefined]);
      const parsed = METHODS[name as keyof typeof METHODS].result.safeParse(answer.result);
      expect([name, parsed.error]).toEqual([name, undefined]);
    }
    expect(methods.map(({ name }) => name).sort()).toEqual(Object.keys(METHODS).sort());
    await caller.call('agent.info');
    expect(stopped).toBe(true);
    expect(problems).toEqual([]);
  });

  it('add the preset relays once, and only when asked', async () => {
    const { client } = await testRpc();
    const caller = await client();
    expect((await caller.call('servers.list')).result).toEqual({ servers: [] });
    const first = await caller.call('servers.add', { preset: 'simplex', enabled: false });
    expect(first.result.servers).toHaveLength(6);
    expect(first.result.servers[0]).toMatchObject({ enabled: false, operator: 'SimpleX Chat' });
    expect((await caller.call('servers.add', { preset: 'simplex' })).result).toEqual({ servers: [] });
  });
});
