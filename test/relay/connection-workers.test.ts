import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { encodeBase64Url } from '#src/protocol/index.js';
import { fingerprintOf } from '#src/crypto/index.js';
import { readCredentials, renewOnlineCertificate } from '#src/relay/index.js';

import {
  asRecipient,
  asSender,
  errorText,
  RawClient,
  type RawChunk,
  readReply,
} from '../support/raw-client.js';
import { type RelayProcess, startRelayProcess } from '../support/relay-process.js';
import { openTcp } from '../support/silent-client.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { chunkBytes, testRelay } from '../support/test-relay.js';

const CHUNK = 1_048_576;
/** What an upload under way has sent: some of it is written. */
const SENT = 600_000;

/** Processes that a process has started. */
async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8');
  return text.split(' ').filter(Boolean).map(Number);
}

/** The connection workers of relays of the test's own process. */
async function workers(): Promise<number[]> {
  const found: number[] = [];
  for (const pid of await childrenOf(process.pid))
    if ((await readFile(`/proc/${String(pid)}/cmdline`, 'latin1')).includes('connection-worker'))
      found.push(pid);
  return found;
}

async function several<T>(count: number, make: () => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  for (let index = 0; index < count; index++) all.push(await make());
  return all;
}

interface Uploading {
  readonly client: RawClient;
  readonly chunk: RawChunk;
  /** Sends the rest, and gives the answer. */
  readonly finish: () => Promise<string>;
}

async function beginUpload(client: RawClient): Promise<Uploading> {
  const chunk = await client.create(chunkBytes(CHUNK));
  const stream = client.start();
  const reply = RawClient.reply(stream);
  reply.catch(() => undefined);
  stream.write(client.block({ type: 'FPUT' }, asSender(chunk)));
  stream.write(chunk.bytes.subarray(0, SENT));
  const finish = async (): Promise<string> => {
    stream.end(chunk.bytes.subarray(SENT));
    return errorText(readReply((await reply).body).response);
  };
  return { client, chunk, finish };
}

async function incoming(folder: string): Promise<number> {
  return (await readdir(folder)).filter((name) => name.startsWith('.incoming-')).length;
}

async function expectSame(client: RawClient, chunk: RawChunk): Promise<void> {
  const got = await client.get(chunk);
  expect(typeof got === 'string' ? got : Buffer.compare(got, chunk.bytes)).toBe(0);
}

/** A client of a relay process. */
async function clientOf({ port, fingerprint }: RelayProcess): Promise<RawClient> {
  const client = await RawClient.open({ port, fingerprint });
  onTestFinished(() => client.close());
  return client;
}

describe.runIf(process.platform === 'linux')('a relay with two connection workers', () => {
  it('serves every chunk on every connection, and tells the sums of both', async () => {
    const relay = await testRelay({ connectionWorkers: 2 });
    const clients = await several(4, () => relay.client());
    const chunks = await Promise.all(
      clients.map(async (client) => {
        const chunk = await client.create(chunkBytes());
        expect(await client.put(chunk)).toBe('OK');
        return chunk;
      }),
    );
    for (const client of clients) for (const chunk of chunks) await expectSame(client, chunk);
    const [first, second, third] = chunks as [RawChunk, RawChunk, RawChunk];
    const [one, other] = clients as [RawClient, RawClient];
    expect(await one.put(first, chunkBytes())).toBe('OK');
    expect(errorText((await other.command({ type: 'FDEL' }, asSender(first))).response)).toBe('OK');
    expect(await one.get(first)).toBe('AUTH');
    expect(errorText((await other.command({ type: 'FACK' }, asRecipient(second))).response)).toBe('OK');
    expect(await one.get(second)).toBe('AUTH');
    expect(await one.put(third, chunkBytes(1))).toBe('SIZE');
    expect(await relay.figures()).toMatchObject({
      workers: 2,
      clients: 4,
      stored: { count: 3, bytes: 3 * 65536 },
      usedBytes: 3 * 65536,
      statistics: { counts: { filesCreated: 4, filesUploaded: 4, fileDownloads: 16, fileDownloadAcks: 1 } },
    });
    await relay.stop();
    expect(await workers()).toEqual([]);
    expect(relay.problems).toEqual([]);
  });

  it('gives connections to the other one while one of them hangs, but for the two that it was about to take', async () => {
    const relay = await testRelay({ connectionWorkers: 2 });
    const [hanging = 0] = await workers();
    process.kill(hanging, 'SIGSTOP');
    onTestFinished(() => {
      process.kill(hanging, 'SIGCONT');
    });
    let served = 0;
    const clients = Array.from({ length: 8 }, async (_, index) => {
      await wait(100 * index);
      const client = await relay.client();
      served += 1;
      return client;
    });
    await expect.poll(() => served, { timeout: 10_000 }).toBe(6);
    process.kill(hanging, 'SIGCONT');
    await Promise.all(clients);
  });

  it('fills the place of one that dies with connections that it was about to take', async () => {
    const relay = await testRelay({ connectionWorkers: 2 });
    const before = await workers();
    for (const worker of before) process.kill(worker, 'SIGSTOP');
    const sockets = await several(8, () => openTcp(relay.port));
    for (const worker of before) process.kill(worker, 'SIGKILL');
    for (const socket of sockets) await closed(socket);
    await expect
      .poll(async () => (await workers()).filter((worker) => !before.includes(worker)).length, {
        timeout: 10_000,
      })
      .toBe(2);
    const client = await eventually(() => relay.client());
    const chunk = await client.create(chunkBytes());
    expect(await client.put(chunk)).toBe('OK');
    expect(relay.problems.filter((problem) => problem.includes('(SIGKILL)'))).toHaveLength(2);
  });

  it('stops although one that served has died, or hangs with connections that it was about to take', async () => {
    const first = await testRelay({ connectionWorkers: 2 });
    await several(2, () => first.client());
    for (const worker of await workers()) process.kill(worker, 'SIGKILL');
    await expect.poll(() => first.problems.length).toBe(2);
    await first.stop();

    const second = await testRelay({ connectionWorkers: 2, limits: { shutdownMs: 100 } });
    for (const worker of await workers()) process.kill(worker, 'SIGSTOP');
    await several(4, () => openTcp(second.port));
    await second.stop();
    expect(await workers()).toEqual([]);
  });

  it('tells of connections that a worker could not take because it has too many files open', async () => {
    const relay = await testRelay({ connectionWorkers: 2 });
    for (const worker of await workers()) execFileSync('prlimit', ['--pid', String(worker), '--nofile=8:8']);
    for (const socket of await several(3, () => openTcp(relay.port))) await closed(socket);
    await expect
      .poll(() => relay.problems)
      .toEqual([expect.stringMatching(/too many files are open, raise the limit/)]);
  });

  it('goes on when one is killed in the midst of uploads: what it held comes back, and another takes its place', async () => {
    const relay = await testRelay({
      connectionWorkers: 2,
      storageQuota: 4 * CHUNK,
      clientKey: () => 'one address',
      limits: { connectionsPerAddress: 4 },
    });
    const clients = await several(4, () => relay.client());
    const uploads = await Promise.all(clients.map(beginUpload));
    await expect.poll(() => incoming(relay.filesPath), { timeout: 10_000 }).toBe(4);
    expect(relay.usedBytes()).toBe(4 * CHUNK);
    await expect(relay.client()).rejects.toThrow();

    const [killed = 0, left = 0] = await workers();
    const lost = clients.map(({ http2 }) => once(http2, 'close').then(() => http2));
    process.kill(killed, 'SIGKILL');
    const gone = new Set([await Promise.race(lost)]);
    for (const client of lost) void client.then((session) => gone.add(session));
    // Both of its clients are gone, and only those.
    await expect.poll(() => [gone.size, relay.usedBytes()]).toEqual([2, 2 * CHUNK]);
    await expect.poll(() => incoming(relay.filesPath)).toBe(2);
    const going = uploads.filter(({ client }) => !gone.has(client.http2));
    const broken = uploads.filter(({ client }) => gone.has(client.http2));
    for (const { finish } of going) expect(await finish()).toBe('OK');
    await expect.poll(async () => (await relay.figures()).workers, { timeout: 20_000 }).toBe(2);
    expect(await workers()).toContain(left);
    expect(await workers()).not.toContain(killed);

    const [again, other] = [await relay.client(), await relay.client()];
    for (const { chunk } of broken) expect(await again.put(chunk)).toBe('OK');
    for (const { chunk } of uploads) await expectSame(other, chunk);
    await expect(relay.client()).rejects.toThrow();
    expect(await relay.figures()).toMatchObject({ clients: 4, usedBytes: 4 * CHUNK, problems: 1 });
    expect(relay.problems).toEqual([
      `A connection worker (process ${String(killed)}) ended (SIGKILL): its clients have to connect again, ` +
        'and another one takes its place.',
    ]);
  });

  it('does not start when its workers cannot, and says what to do', async () => {
    const home = await temporaryFolder();
    // An option that Node refuses to start with.
    vi.stubEnv('NODE_OPTIONS', '--eval=0');
    try {
      await expect(testRelay({ connectionWorkers: 2 }, home)).rejects.toMatchObject({
        code: 'LOCAL_IO',
        message: expect.stringContaining('set connection_workers') as string,
      });
    } finally {
      vi.unstubAllEnvs();
    }
    expect(await workers()).toEqual([]);
    const relay = await testRelay({ connectionWorkers: 2 }, home);
    expect(await (await relay.client()).put(await (await relay.client()).create(chunkBytes()))).toBe('OK');
  });

  it('refuses uploads beyond the bounds of the whole relay, whichever worker they come to', async () => {
    const relay = await testRelay({
      connectionWorkers: 2,
      limits: { uploads: 2, registrationsPerAddress: 4 },
      clientKey: () => 'one',
    });
    const clients = await several(3, () => relay.client());
    const [first, second, third] = clients as [RawClient, RawClient, RawClient];
    const uploads = [await beginUpload(first), await beginUpload(second)];
    const chunk = await third.create(chunkBytes());
    await expect.poll(() => relay.usedBytes()).toBe(2 * CHUNK);
    expect(await third.put(chunk)).toBe('TIMEOUT');
    for (const { finish } of uploads) expect(await finish()).toBe('OK');
    expect(await third.put(chunk)).toBe('OK');
    for (const client of [first, second, third]) await client.create(chunkBytes());
    await first.create(chunkBytes());
    await expect(second.create(chunkBytes())).rejects.toThrow('QUOTA');
  });
});

describe.runIf(process.platform === 'linux')('xftp-server with two connection workers', () => {
  const start = (): Promise<RelayProcess> => startRelayProcess({ workers: 2 });

  it('that is killed takes its workers with it, and has everything that it acknowledged at the next start', async () => {
    const relay = await start();
    const clients = await several(2, () => clientOf(relay));
    const chunks = await Promise.all(
      clients.map(async (client) => {
        const chunk = await client.create(chunkBytes());
        expect(await client.put(chunk)).toBe('OK');
        return chunk;
      }),
    );
    for (const client of clients) await beginUpload(client);
    await expect.poll(() => incoming(relay.filesPath), { timeout: 10_000 }).toBe(2);
    const program = relay.program();
    expect(await childrenOf(program.pid)).toHaveLength(2);
    process.kill(program.pid, 'SIGKILL');
    // Its outputs end when the last process ends that has them.
    expect(await program.ended).toMatchObject({ signal: 'SIGKILL', stderr: '' });
    await relay.start();
    expect(relay.program().output().stderr).toContain('2 of unfinished uploads');
    for (const chunk of chunks) await expectSame(await clientOf(relay), chunk);
    expect((await relay.chunkPaths()).length).toBe(2);
  });

  it('finishes an upload under way although SIGTERM goes to all its processes, and ends with 0', async () => {
    const relay = await start();
    const uploads = await Promise.all((await several(2, () => clientOf(relay))).map(beginUpload));
    await expect.poll(() => incoming(relay.filesPath), { timeout: 10_000 }).toBe(2);
    const stopped = relay.stop();
    await expect.poll(() => accepts(relay.port)).toBe(false);
    for (const { finish } of uploads) expect(await finish()).toBe('OK');
    expect(await stopped).toMatchObject({ exitCode: 0, stderr: '' });
    expect((await relay.chunkPaths()).map((path) => path.split('/').at(-1)).sort()).toEqual(
      uploads.map(({ chunk }) => encodeBase64Url(chunk.senderId)).sort(),
    );
  });

  it('shows a new certificate on all workers after SIGHUP, also on one that comes later', async () => {
    const relay = await start();
    const before = await clientOf(relay);
    await renewOnlineCertificate(relay.folders, {});
    const program = relay.program();
    process.kill(-program.pid, 'SIGHUP');
    await program.printed(/Certificates and web pages read again/);
    const { online } = await readCredentials(relay.folders);
    const renewed = Buffer.from(fingerprintOf(online.certificate)).toString('hex');
    const shown = (client: RawClient): string =>
      client.socket.getPeerCertificate().fingerprint256.replaceAll(':', '').toLowerCase();
    expect(shown(before)).not.toBe(renewed);
    for (const client of await several(3, () => clientOf(relay))) expect(shown(client)).toBe(renewed);
    for (const worker of await childrenOf(program.pid)) process.kill(worker, 'SIGKILL');
    await expect.poll(async () => (await childrenOf(program.pid)).length).toBe(2);
    const late = await eventually(() => clientOf(relay));
    expect(shown(late)).toBe(renewed);
  });

  it('does not let a worker that hangs hold up SIGHUP; it shows the new certificate when it goes on', async () => {
    const relay = await start();
    const program = relay.program();
    const [hanging = 0] = await childrenOf(program.pid);
    process.kill(hanging, 'SIGSTOP');
    await renewOnlineCertificate(relay.folders, {});
    process.kill(program.pid, 'SIGHUP');
    await program.printed(/Certificates and web pages read again/);
    process.kill(hanging, 'SIGCONT');
    const { online } = await readCredentials(relay.folders);
    for (const client of await several(4, () => clientOf(relay)))
      expect(client.socket.getPeerCertificate().raw).toEqual(Buffer.from(online.certificate));
  });
});

async function closed(socket: Socket): Promise<void> {
  socket.resume();
  if (!socket.closed) await once(socket, 'close');
}

/** Whether a port takes connections. */
async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** What works only after a while. */
async function eventually<T>(act: () => Promise<T>): Promise<T> {
  const results: T[] = [];
  await expect
    .poll(
      async () =>
        act().then(
          (result) => results.push(result),
          () => 0,
        ),
      { timeout: 20_000 },
    )
    .toBeGreaterThan(0);
  return results[0] as T;
}
