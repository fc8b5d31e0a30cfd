import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createSilentServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';

import { failing } from '../crypto/expected-failure.js';
import {
  type AgentClient,
  type AgentEvent,
  connectAgent,
  type ConnectOptions,
  findAgent,
  isXftpError,
} from '#src/sdk/index.js';
import { XftpError } from '#src/protocol/index.js';

import { createFakeAgent, type FakeAgent } from '../support/fake-agent.js';
import { testRpc, type TestRpc, type TestRpcOptions } from '../support/rpc-client.js';
import { temporaryFolder } from '../support/temporary-folder.js';

/** A client of the running test. */
async function connected(options: ConnectOptions): Promise<AgentClient> {
  const client = await connectAgent(options);
  onTestFinished(() => client.close());
  return client;
}

/** A server whose data folder has a token, and a client that found both. */
async function pair(
  options: TestRpcOptions = {},
): Promise<{ rpc: TestRpc; agent: FakeAgent; client: AgentClient }> {
  const rpc = await testRpc(options);
  await writeFile(join(rpc.dataDir, 'token'), `${rpc.agent.token('admin')}\n`);
  return { rpc, agent: rpc.agent, client: await connected({ dataDir: rpc.dataDir }) };
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('An agent is found', () => {
  it('in the folder that is given or that the environment names, by its socket if it has one', async () => {
    const socketPath = join(await temporaryFolder(), 'rpc.sock');
    const { rpc } = await pair({ socketPath });
    vi.stubEnv('XFTP_AGENT_DATA_DIR', rpc.dataDir);
    expect(await findAgent()).toMatchObject({ url: rpc.url, socketPath });
    const client = await connected({});
    expect((await client.agent.info()).pid).toBe(process.pid);
  });

  it('or not: each reason is a failure of its own', async () => {
    const dataDir = await temporaryFolder();
    await expect(connectAgent({ dataDir })).rejects.toThrow(failing('AGENT_UNREACHABLE'));
    await writeFile(join(dataDir, 'rpc.json'), 'nonsense');
    await writeFile(join(dataDir, 'token'), 'wrong');
    await expect(connectAgent({ dataDir })).rejects.toThrow(failing('AGENT_UNREACHABLE'));

    const { url, agent } = await testRpc({ limits: { connections: 0 } });
    const wrong = connectAgent({ endpoint: { url, token: 'wrong' } });
    await expect(wrong).rejects.toThrow(failing('UNAUTHENTICATED'));
    const full = connectAgent({ endpoint: { url, token: agent.token('read') } });
    await expect(full).rejects.toThrow(failing('LIMIT_EXCEEDED'));
    const bad = connectAgent({ endpoint: { url, token: 'line\nbreak' } });
    await expect(bad).rejects.toThrow(failing('INVALID_ARGUMENT'));
    const nowhere = connectAgent({ endpoint: { url: 'ws://127.0.0.1:1/', token: 'x' } });
    await expect(nowhere).rejects.toThrow(failing('AGENT_UNREACHABLE'));
    const aborted = connectAgent({ endpoint: { url, token: 'x' }, signal: AbortSignal.abort() });
    await expect(aborted).rejects.toThrow(failing('CANCELLED'));
  });

  it('but not when it was killed: whoever listens at its address by now is not shown the token', async () => {
    const asked: unknown[] = [];
    const server = createServer((_request, response) => response.end('hello'));
    server.on('connection', () => asked.push('connection'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };
    const { rpc } = await pair();
    const { dataDir } = rpc;
    const file = join(dataDir, 'rpc.json');
    const written = JSON.parse(await readFile(file, 'utf8')) as { process?: string };
    const killed = spawn(process.execPath, ['-e', 'process.kill(process.pid, 9)']);
    await once(killed, 'exit');
    const url = `ws://127.0.0.1:${String(port)}/`;
    // Another process that has the number of the agent was started at another time.
    const reused = written.process === undefined ? [] : [{ process: `${written.process}1` }];
    for (const change of [{ pid: killed.pid }, { pid: 0 }, { pid: 'none' }, ...reused]) {
      await writeFile(file, JSON.stringify({ ...written, ...change, url }));
      for (const options of [{ dataDir }, { dataDir, token: 'another' }])
        await expect(connectAgent(options)).rejects.toThrow(failing('AGENT_UNREACHABLE'));
    }
    expect(asked).toEqual([]);
  });

  it('with another token than the one in its folder', async () => {
    const { rpc, agent } = await pair();
    const client = await connected({ dataDir: rpc.dataDir, token: agent.token('read') });
    expect((await client.agent.info()).pid).toBe(process.pid);
    await expect(client.tokens.list()).rejects.toThrow(failing('FORBIDDEN'));
  });

  it('but what answers there may be another program', async () => {
    const server = createServer((_request, response) => response.end('hello'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };
    const url = `ws://127.0.0.1:${String(port)}/`;
    await expect(connectAgent({ endpoint: { url, token: 'x' } })).rejects.toThrow(
      failing('AGENT_UNREACHABLE'),
    );
  });

  it('but what listens at its socket may not answer', async () => {
    const socketPath = join(await temporaryFolder(), 'agent.sock');
    const server = createSilentServer();
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    onTestFinished(() => void server.close());
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const connecting = connectAgent({ endpoint: { socketPath, token: 'x' } });
    const outcome = expect(connecting).rejects.toThrow(failing('AGENT_UNREACHABLE'));
    await vi.advanceTimersByTimeAsync(10_000);
    await outcome;
  });
});

describe('A call', () => {
  it('is not made by who only looks at a client', async () => {
    const { client } = await pair();
    expect(Object.keys(JSON.parse(JSON.stringify(client)) as object)).toContain('transfers');
    const { transfers }: { readonly transfers: unknown } = client;
    expect(String(transfers)).toBe('[object Object]');
    expect(await Promise.resolve(transfers)).toBe(transfers);
  });

  it('has the types of the method table', async () => {
    const { client } = await pair();
    const { id } = await client.transfers.send({ path: '/a', recipients: 3 });
    expect((await client.call('transfers.get', { id })).id).toBe(id);
    expect((await client.transfers.list()).items).toHaveLength(1);
    const { servers } = await client.servers.add({ preset: 'simplex' });
    expect(servers).toHaveLength(6);
    expect((await client.settings.set({ uploadLimit: null })).uploadLimit).toBeNull();
    // @ts-expect-error The id is missing.
    await expect(client.transfers.get({})).rejects.toThrow(failing('INVALID_ARGUMENT'));
    // @ts-expect-error There is no such method.
    await expect(client.call('transfers.nothing')).rejects.toThrow(failing('INVALID_ARGUMENT'));
  });

  it('fails as the agent did, with code, what the relay said and what to do', async () => {
    const { agent, client } = await pair();
    agent.onGet = () => {
      throw new XftpError('RELAY_TEMPORARY', 'The relay is busy.', { wire: 'INTERNAL' });
    };
    const failure: unknown = await client.transfers.get({ id: 'x' }).catch((error: unknown) => error);
    expect(isXftpError(failure, 'RELAY_TEMPORARY')).toBe(true);
    expect(failure).toMatchObject({ message: 'The relay is busy.', wire: 'INTERNAL', temporary: true });
    agent.onGet = () => {
      throw new XftpError('DISK_FULL', 'The disk is full.');
    };
    await expect(client.transfers.get({ id: 'x' })).rejects.toMatchObject({
      code: 'DISK_FULL',
      hint: expect.stringContaining('Make room') as string,
    });
  });

  it('ends by its signal or its time, and the connection goes on', async () => {
    const { agent, client } = await pair();
    agent.testing = new Promise(() => undefined);
    const params = { address: 'xftp://server' };
    const abort = new AbortController();
    const call = client.servers.test(params, { signal: abort.signal });
    abort.abort();
    await expect(call).rejects.toThrow(failing('CANCELLED'));
    await expect(client.servers.test(params, { signal: abort.signal })).rejects.toThrow(failing('CANCELLED'));
    await expect(client.servers.test(params, { timeout: 20 })).rejects.toThrow(failing('STALLED'));
    expect((await client.agent.info()).pid).toBe(process.pid);
  });

  it('under way fails when the agent stops; the next one finds the agent that was started again', async () => {
    const { rpc, agent, client } = await pair();
    agent.testing = new Promise(() => undefined);
    const call = client.servers.test({ address: 'xftp://server' });
    const lost = expect(call).rejects.toThrow(failing('CONNECTION_LOST'));
    await client.agent.info();
    await rpc.server.stop();
    await lost;
    await expect(client.agent.info()).rejects.toThrow(failing('AGENT_UNREACHABLE'));
    await testRpc({ agent, dataDir: rpc.dataDir });
    const [one, two] = await Promise.all([client.agent.info(), client.agent.info()]);
    expect([one.pid, two.pid]).toEqual([process.pid, process.pid]);
  });

  it('after the client was closed fails', async () => {
    const { client } = await pair();
    await client.close();
    await client.close();
    await expect(client.agent.info()).rejects.toThrow(failing('CANCELLED'));
  });
});

describe('Events', () => {
  const commit = (agent: FakeAgent, count = 1): void => {
    for (let each = 0; each < count; each++) agent.commit({ type: 'servers.changed', data: {} });
  };

  /** The numbers of the durable events, up to the given one. */
  async function take(events: AsyncIterable<AgentEvent>, last: number): Promise<number[]> {
    const numbers: number[] = [];
    for await (const event of events) {
      if ('seq' in event) numbers.push(event.seq);
      if (numbers.at(-1) === last) break;
    }
    return numbers;
  }

  const range = (from: number, to: number): number[] =>
    Array.from({ length: to - from + 1 }, (_, index) => from + index);

  it('come once each over an agent that stops and starts again and again', async () => {
    const agent = createFakeAgent();
    const { rpc, client } = await pair({ agent });
    commit(agent, 10);
    const taking = take(client.events({ since: 2 }), 400);
    let current: TestRpc = rpc;
    for (let round = 0; round < 3; round++) {
      commit(agent, 50);
      await expect.poll(agent.listeners).toBe(1);
      commit(agent, 30);
      await current.server.stop();
      commit(agent, 50);
      current = await testRpc({ agent, dataDir: rpc.dataDir });
    }
    expect(await taking).toEqual(range(3, 400));
    await expect.poll(agent.listeners).toBe(0);
  });

  it('of a type and a transfer come alone', async () => {
    const { agent, client } = await pair();
    commit(agent, 2);
    agent.commit({ type: 'transfer.removed', transferId: 'a', data: {} });
    agent.commit({ type: 'transfer.removed', transferId: 'b', data: {} });
    const events = client.events({ since: 0, types: ['transfer.removed'], transferId: 'b' });
    expect(await take(events, 4)).toEqual([4]);
  });

  it('that are gone are told of, or fail the iteration', async () => {
    const { agent, client } = await pair();
    commit(agent, 20);
    agent.forgetBefore(15);
    await expect(take(client.events({ since: 3 }), 20)).rejects.toThrow(failing('NOT_FOUND'));
    const lags: unknown[] = [];
    const events = client.events({ since: 3, onLagged: (lag) => lags.push(lag) });
    expect(await take(events, 20)).toEqual(range(15, 20));
    expect(lags).toEqual([{ since: 3, oldest: 15 }]);
  });

  it('that are gone may take their time: no event is given out before, nor when that fails', async () => {
    const { agent, client } = await pair();
    commit(agent, 20);
    agent.forgetBefore(15);
    const order: (string | number)[] = [];
    const onLagged = async (): Promise<void> => {
      await delay(100);
      order.push('looked');
    };
    const onPosition = (seq: number): void => void order.push(`at ${String(seq)}`);
    for await (const event of client.events({ since: 3, onLagged, onPosition })) {
      if (event.type === 'transfer.progress') continue;
      order.push(event.seq);
      if (event.seq === 16) break;
    }
    expect(order).toEqual(['looked', 'at 14', 15, 16]);
    const failure = new Error('The database is locked.');
    const failed = client.events({ since: 3, onLagged: () => Promise.reject(failure) });
    await expect(take(failed, 20)).rejects.toBe(failure);
    const lost = new XftpError('CONNECTION_LOST', 'A call of its own failed.');
    const alsoFailed = client.events({ since: 3, onLagged: () => Promise.reject(lost) });
    await expect(take(alsoFailed, 20)).rejects.toBe(lost);
  });

  it('that were not asked for are not missed, however many of them are gone', async () => {
    const agent = createFakeAgent();
    const { rpc, client } = await pair({ agent, limits: { position: 10 } });
    const positions: number[] = [];
    const onPosition = (seq: number): void => void positions.push(seq);
    agent.commit({ type: 'transfer.removed', transferId: 'a', data: {} });
    const taking = take(client.events({ since: 0, types: ['transfer.removed'], onPosition }), 102);
    await expect.poll(agent.listeners).toBe(1);
    commit(agent, 100);
    await expect.poll(() => positions.at(-1)).toBe(101);
    await rpc.server.stop();
    agent.forgetBefore(90);
    await testRpc({ agent, dataDir: rpc.dataDir });
    agent.commit({ type: 'transfer.removed', transferId: 'a', data: {} });
    expect(await taking).toEqual([1, 102]);
  });

  it('end by their signal, when the client is closed, and with a failure when the token is revoked', async () => {
    const { rpc, agent, client } = await pair();
    const abort = new AbortController();
    const first = take(client.events({ signal: abort.signal }), 99);
    await expect.poll(agent.listeners).toBe(1);
    abort.abort();
    expect(await first).toEqual([]);

    const other = agent.createToken({ name: 'x', scope: 'read' });
    const reader = await connected({ endpoint: { url: rpc.url, token: other.token } });
    const refused = expect(take(reader.events(), 99)).rejects.toThrow(failing('UNAUTHENTICATED'));
    await expect.poll(agent.listeners).toBe(1);
    await client.tokens.revoke({ id: other.id });
    await refused;

    const last = take(client.events(), 99);
    await expect.poll(agent.listeners).toBe(1);
    await client.close();
    expect(await last).toEqual([]);
  });

  it('wait for a slow consumer, who can make calls meanwhile', async () => {
    const { agent, client } = await pair({ limits: { replayPage: 100 } });
    commit(agent, 5000);
    let count = 0;
    for await (const event of client.events({ since: 0 })) {
      count += 1;
      if (count % 500 === 0) expect((await client.agent.info()).events.newest).toBe(5000);
      if (event.type !== 'transfer.progress' && event.seq === 5000) break;
    }
    expect(count).toBe(5000);
  });
});
