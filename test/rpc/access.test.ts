import { spawn } from 'node:child_process';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';

import { startRpcServer } from '#src/rpc/index.js';

import { failing } from '../crypto/expected-failure.js';
import { createFakeAgent } from '../support/fake-agent.js';
import { openRpcClient, testRpc } from '../support/rpc-client.js';
import { temporaryFolder } from '../support/temporary-folder.js';

interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** A plain request, over TCP or a socket. */
async function http(
  target: { readonly url: string } | { readonly socketPath: string },
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<HttpAnswer> {
  const place = 'url' in target ? { port: new URL(target.url).port } : target;
  return await new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', ...place, path, headers, method, agent: false }, (response) => {
      text(response).then((body) => {
        resolve({ status: response.statusCode ?? 0, body, headers: response.headers });
      }, reject);
    })
      .on('error', reject)
      .end();
  });
}

/** Status and body with which an upgrade is refused. */
async function refusal(
  url: string,
  headers: Record<string, string>,
  protocols: string[] = [],
): Promise<{ status: number; body: string }> {
  const socket = new WebSocket(url, protocols, { headers });
  return await new Promise((resolve, reject) => {
    socket.on('open', () => {
      socket.terminate();
      reject(new Error('It was let in.'));
    });
    socket.on('error', reject);
    socket.on('unexpected-response', (_request, response) => {
      void text(response).then((body) => {
        resolve({ status: response.statusCode ?? 0, body });
      });
    });
  });
}

const UNAUTHENTICATED = { status: 401, body: '{"error":"unauthenticated"}\n' };
const FORBIDDEN = { status: 403, body: '{"error":"forbidden"}\n' };

describe('The door', () => {
  it('opens for a right token only', async () => {
    const { agent, url } = await testRpc();
    const token = agent.token('read');
    expect(await refusal(url, {})).toEqual(UNAUTHENTICATED);
    expect(await refusal(url, { Authorization: 'Bearer ' })).toEqual(UNAUTHENTICATED);
    expect(await refusal(url, { Authorization: `Bearer ${token}x` })).toEqual(UNAUTHENTICATED);
    expect(await refusal(url, { Authorization: `Basic ${token}` })).toEqual(UNAUTHENTICATED);
    expect(await refusal(url, { Authorization: `Bearer ${'x'.repeat(5000)}` })).toEqual(UNAUTHENTICATED);
    expect(await refusal(url, {}, ['bearer.wrong'])).toEqual(UNAUTHENTICATED);
    const client = await openRpcClient(url, token);
    expect((await client.call('agent.info')).result).toBeDefined();
  });

  it('opens for a token as subprotocol, which it accepts as browsers need it', async () => {
    const { agent, url } = await testRpc();
    const protocol = `bearer.${agent.token('read')}`;
    const client = await openRpcClient(url, undefined, { protocols: ['other', protocol] });
    expect(client.socket.protocol).toBe(protocol);
    expect((await client.call('agent.info')).result).toBeDefined();
  });

  it('is closed to foreign pages and foreign names of this machine, even with a token', async () => {
    const { agent, url } = await testRpc({ allowedOrigins: ['https://app.example'] });
    const Authorization = `Bearer ${agent.token('admin')}`;
    const { port } = new URL(url);
    for (const Origin of ['https://evil.example', 'null', 'https://app.example.evil', 'http://app.example'])
      expect(await refusal(url, { Authorization, Origin })).toEqual(FORBIDDEN);
    for (const Host of ['evil.example', `evil.example:${port}`, 'localhost.evil.example', '127.0.0.1.evil:1'])
      expect(await refusal(url, { Authorization, Host })).toEqual(FORBIDDEN);
    const token = agent.token('read');
    for (const Host of ['localhost', `LOCALHOST:${port}`, '127.0.0.1', '[::1]:99'])
      await openRpcClient(url, token, { headers: { Host, Origin: 'https://app.example' } });
    expect((await http({ url }, '/healthz', { Host: 'evil.example' })).status).toBe(403);
  });

  it('answers health without, and metrics only with a token', async () => {
    const { agent, url, client } = await testRpc();
    const caller = await client('submit');
    await caller.call('transfers.send', { path: '/a' });
    await caller.call('transfers.get', { id: 'nothing' });
    expect(await http({ url }, '/healthz')).toMatchObject({ status: 200, body: '{"status":"ok"}\n' });
    expect(await http({ url }, '/metrics')).toMatchObject({ ...UNAUTHENTICATED });
    const metrics = await http({ url }, '/metrics', { Authorization: `Bearer ${agent.token('read')}` });
    expect(metrics).toMatchObject({
      status: 200,
      headers: { 'content-type': /^text\/plain; version=0.0.4/ },
    });
    for (const line of [
      'xftp_agent_transfers{state="queued"} 1',
      'xftp_agent_transfers{state="completed"} 0',
      'xftp_agent_relay_tasks 2',
      'xftp_agent_events_newest 1',
      'xftp_agent_rpc_connections 1',
      'xftp_agent_server_attempts_total{server="xftp://AAAA@relay.example",action="upload"} 3',
      'xftp_agent_server_successes_total{server="xftp://AAAA@relay.example",action="upload"} 2',
      'xftp_agent_server_bytes_total{server="xftp://AAAA@relay.example",action="upload"} 131072',
      'xftp_agent_server_failures_total{server="xftp://AAAA@relay.example",kind="temporary"} 1',
      'xftp_agent_rpc_calls_total{method="transfers.send",outcome="ok"} 1',
      'xftp_agent_rpc_calls_total{method="transfers.get",outcome="NOT_FOUND"} 1',
      'xftp_agent_rpc_call_duration_seconds_count{method="transfers.send"} 1',
      '# TYPE xftp_agent_rpc_call_duration_seconds summary',
    ])
      expect(metrics.body).toContain(`${line}\n`);
  });

  it('has nothing else behind it', async () => {
    const { agent, url } = await testRpc();
    expect((await http({ url }, '/')).status).toBe(426);
    expect((await http({ url }, '/other')).status).toBe(404);
    expect((await http({ url }, '/metrics', {}, 'POST')).status).toBe(405);
    const Authorization = `Bearer ${agent.token('read')}`;
    expect((await refusal(`${url}other`, { Authorization })).status).toBe(404);
  });

  it('is on loopback only', async () => {
    const dataDir = await temporaryFolder();
    const start = startRpcServer({
      agent: createFakeAgent(),
      dataDir,
      version: '1',
      listen: { host: '0.0.0.0', port: 0 },
    });
    await expect(start).rejects.toThrow(failing('INVALID_ARGUMENT'));
    const nowhere = startRpcServer({ agent: createFakeAgent(), dataDir, version: '1', listen: {} });
    await expect(nowhere).rejects.toThrow(failing('INVALID_ARGUMENT'));
  });

  it('is closed to a revoked token at once', async () => {
    const { agent, url, client } = await testRpc();
    const admin = await client();
    const { token, id } = (await admin.call('tokens.create', { name: 'x', scope: 'read' })).result;
    const other = await openRpcClient(url, token as string);
    expect((await admin.call('tokens.revoke', { id })).result).toEqual({});
    expect(await other.closed).toMatchObject({ code: 1008 });
    expect(await refusal(url, { Authorization: `Bearer ${String(token)}` })).toEqual(UNAUTHENTICATED);
    expect((await admin.call('tokens.list')).result.tokens).toEqual(agent.listTokens());
  });
});

describe('A revoked token', () => {
  it('gets nothing more done and is cut off, although its client does not answer the goodbye', async () => {
    const { agent, url, client } = await testRpc();
    const admin = await client();
    const { token, id } = (await admin.call('tokens.create', { name: 'x', scope: 'admin' })).result;
    const other = await openRpcClient(url, token as string);
    await other.call('events.subscribe');
    // Neither closes, nor stops sending.
    other.socket.close = () => undefined;
    let release = (): void => undefined;
    agent.testing = new Promise((resolve) => {
      release = resolve;
    });
    const batch = [
      { jsonrpc: '2.0', id: 1, method: 'servers.test', params: { address: 'xftp://a@b' } },
      { jsonrpc: '2.0', id: 2, method: 'transfers.send', params: { path: '/batch' } },
    ];
    other.send(batch);
    await other.call('agent.info');
    expect((await admin.call('tokens.revoke', { id })).result).toEqual({});
    release();
    other.send({ jsonrpc: '2.0', id: 3, method: 'transfers.send', params: { path: '/later' } });
    agent.commit({ type: 'servers.changed', data: {} });
    expect(agent.listeners()).toBe(0);
    await other.closed;
    expect(agent.received).toEqual([]);
    expect(other.messages).toEqual([]);
    expect((await admin.call('agent.info')).result).toBeDefined();
  });

  it('that revokes itself gets the answer, and nothing after it in a batch is done', async () => {
    const { agent, url, client } = await testRpc();
    const admin = await client();
    const { token, id } = (await admin.call('tokens.create', { name: 'x', scope: 'admin' })).result;
    const own = await openRpcClient(url, token as string);
    own.send([
      { jsonrpc: '2.0', id: 1, method: 'events.subscribe' },
      { jsonrpc: '2.0', id: 2, method: 'tokens.revoke', params: { id } },
      { jsonrpc: '2.0', id: 3, method: 'tokens.create', params: { name: 'y', scope: 'admin' } },
    ]);
    expect(await own.next()).toMatchObject([
      { id: 1 },
      { id: 2, result: {} },
      { id: 3, error: { data: { code: 'FORBIDDEN' } } },
    ]);
    expect(await own.closed).toMatchObject({ code: 1008 });
    expect(agent.listTokens()).toHaveLength(1);
    expect(agent.listeners()).toBe(0);
  });
});

describe('A Unix socket', () => {
  it('is for this user only, whatever host is named, and says where it is', async () => {
    const folder = await temporaryFolder();
    const socketPath = join(folder, 'rpc.sock');
    const { agent, server, dataDir, url } = await testRpc({ socketPath });
    expect((await stat(socketPath)).mode & 0o777).toBe(0o600);
    const file = join(dataDir, 'rpc.json');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({
      url,
      socket: socketPath,
      pid: process.pid,
      ...(process.platform === 'linux' ? { process: expect.stringMatching(/^pid:\[\d+\] \S+ \d+$/) } : {}),
      version: '1.2.3',
    });
    expect((await http({ socketPath }, '/healthz', { Host: 'anything' })).status).toBe(200);
    const wsUrl = `ws+unix://${socketPath}:/`;
    expect(await refusal(wsUrl, {})).toEqual(UNAUTHENTICATED);
    const client = await openRpcClient(wsUrl, agent.token('read'));
    expect((await client.call('agent.info')).result).toBeDefined();

    await server.stop();
    expect(await client.closed).toMatchObject({ code: 1001 });
    await expect(stat(file)).rejects.toThrow('ENOENT');
    await expect(stat(socketPath)).rejects.toThrow('ENOENT');
  });

  it('is taken over from an agent that was killed, never from one that runs', async () => {
    const folder = await temporaryFolder();
    const socketPath = join(folder, 'rpc.sock');
    const script = 'net.createServer().listen(process.argv[1], () => process.kill(process.pid, 9))';
    const killed = spawn(process.execPath, ['-e', script, socketPath]);
    await new Promise((resolve) => killed.once('close', resolve));
    expect((await stat(socketPath)).isSocket()).toBe(true);
    await testRpc({ socketPath });
    await expect(testRpc({ socketPath })).rejects.toThrow(failing('ADDRESS_IN_USE'));
    expect((await http({ socketPath }, '/healthz')).status).toBe(200);
    await expect(testRpc({ socketPath: join(folder, 'x'.repeat(120)) })).rejects.toThrow(
      failing('INVALID_ARGUMENT'),
    );
    const file = join(folder, 'file');
    await writeFile(file, 'kept');
    await expect(testRpc({ socketPath: file })).rejects.toThrow(failing('FILE_EXISTS'));
    expect(await readFile(file, 'utf8')).toBe('kept');
  });
});

describe('A socket without a token', () => {
  it('is closed when its head does not come in time, or is not the end of it', async () => {
    const { url } = await testRpc({ limits: { head: 200 } });
    const port = Number(new URL(url).port);
    const silent = connect(port, '127.0.0.1');
    const half = connect(port, '127.0.0.1');
    half.write('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n');
    const long = connect(port, '127.0.0.1');
    long.write(`GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ${'x'.repeat(100_000)}`);
    for (const socket of [silent, half, long]) {
      socket.on('error', () => undefined);
      socket.resume();
      await new Promise((resolve) => socket.once('close', resolve));
    }
  });
});
