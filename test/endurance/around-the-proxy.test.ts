import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import type { AgentEvent, TransferState } from '#src/agent/index.js';
import type { AgentClient } from '#src/sdk/index.js';

import { redirectThrough } from '../agent/redirect-samples.js';
import { clientOf } from '../support/agent-observation.js';
import { type NetworkCall, type NetworkWatch, watchNetwork } from '../support/network-watch.js';
import { runProgram, startCommand, startProgram } from '../support/program.js';
import { freePort } from '../support/relay-process.js';
import { type SocksServer, startSocksServer } from '../support/socks-server.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { testRelay, type TestRelay } from '../support/test-relay.js';
import { expectFailure, makeFile, xftp } from '../support/transfers.js';

const ONION = `${'d'.repeat(56)}.onion`;
/** Names that no resolver knows; the proxy leads the first to the relay and refuses the second. */
const NAME = 'relay.invalid';
const REFUSED = 'refused.invalid';

/** A relay behind a proxy that alone knows the names. */
interface Setting {
  readonly relay: TestRelay;
  readonly proxy: SocksServer;
  readonly watch: NetworkWatch;
  readonly folder: string;
  /** The relay's address under another host, or several. */
  readonly at: (hosts: string) => string;
}

async function setting(): Promise<Setting> {
  const relay = await testRelay();
  const proxy = await startSocksServer({
    target: ({ host }) => (host === REFUSED ? undefined : relay.port),
  });
  const at = (hosts: string): string => relay.address.replace(/@[^:]+/, `@${hosts}`);
  return { relay, proxy, watch: await watchNetwork(), folder: await temporaryFolder(), at };
}

/** Calls other than connections to these ports of loopback. */
function strayCalls(watch: NetworkWatch, ports: readonly number[]): NetworkCall[] {
  return watch
    .calls()
    .filter(
      ({ kind, address, port }) =>
        !(kind === 'tcp' && address === '127.0.0.1' && port !== undefined && ports.includes(port)),
    );
}

/** Resolves when the transfer has been in the state. */
async function reached(client: AgentClient, id: string, state: TransferState): Promise<void> {
  for await (const event of client.events({ since: 0, transferId: id }))
    if (event.type === 'transfer.state' && event.data.to === state) return;
}

describe('The watch itself', () => {
  it('sees connections, sockets and look-ups of a program and of its threads, whichever module makes them', async () => {
    const watch = await watchNetwork();
    const server = createServer((_, response) => response.end('x')).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo; // listens on a TCP port
    const quiet = '.catch(() => undefined)';
    const script = `
      import { Worker, isMainThread } from 'node:worker_threads';
      import dgram from 'node:dgram';
      import dns from 'node:dns';
      import net from 'node:net';
      import tls from 'node:tls';
      const ignore = (socket) => socket.on('error', () => undefined);
      if (isMainThread) {
        await fetch('http://127.0.0.1:${String(port)}/fetch')${quiet};
        ignore(net.connect('/nonexistent/socket'));
        dgram.createSocket('udp4').close();
        new Worker(new URL(import.meta.url));
      } else {
        ignore(net.connect(1, '127.0.0.1'));
        ignore(tls.connect({ port: 2, host: '127.0.0.1' }));
        ignore(net.connect(3, 'named.invalid'));
        await dns.promises.lookup('promised.invalid')${quiet};
        await new dns.promises.Resolver({ timeout: 1, tries: 1 }).resolve4('resolved.invalid')${quiet};
      }`;
    const path = join(await temporaryFolder(), 'asks.mjs');
    await writeFile(path, script);
    const { exitCode } = await startCommand([process.execPath, path], { env: watch.env }).ended;
    expect([exitCode, watch.watched()]).toEqual([0, 2]);
    const seen = watch.calls();
    for (const call of [
      { kind: 'tcp', address: '127.0.0.1', port },
      { kind: 'pipe', address: '/nonexistent/socket' },
      { kind: 'udp' },
      { kind: 'tcp', address: '127.0.0.1', port: 1 },
      { kind: 'tcp', address: '127.0.0.1', port: 2 },
      { kind: 'lookup', address: 'named.invalid' },
      { kind: 'lookup', address: 'promised.invalid' },
      { kind: 'lookup', address: 'resolved.invalid' },
    ])
      expect(seen).toContainEqual(call);
  });

  it('sees that both programs connect to the relay and look its name up when there is no proxy', async () => {
    const { relay, watch, folder, at } = await setting();
    const source = await makeFile(folder, 1000);
    const direct = await xftp(['send', source, folder, '-s', relay.address], { env: watch.env });
    expect([direct.exitCode, direct.stderr]).toEqual([0, '']);
    const named = await xftp(['send', source, folder, '-s', at(NAME), '-r', '1'], { env: watch.env });
    expectFailure(named, 'CONNECT_FAILED', /relay\.invalid/);
    const dataDir = join(folder, 'agent');
    const args = ['start', '--data-dir', dataDir, '--server', at('localhost')];
    const program = startProgram('xftp-agent', args, { env: { ...watch.env, HOME: folder } });
    const client = await clientOf(program, dataDir);
    const { id } = await client.transfers.send({ path: source, redirect: 'never' });
    await reached(client, id, 'completed');
    const stray = strayCalls(watch, []);
    expect(stray).toContainEqual({ kind: 'lookup', address: NAME });
    expect(stray).toContainEqual({ kind: 'lookup', address: 'localhost' });
    expect(stray.filter(({ port }) => port === relay.port).length).toBeGreaterThan(1);
  });
});

describe('With a proxy, xftp', () => {
  it('asks nobody but it: sends, links that lead to a description, receives, deletions, and all that fails', async () => {
    const { proxy, watch, folder, at } = await setting();
    const refusing = await startSocksServer({ target: () => undefined, refusesAccounts: true });
    const nonsense = await startSocksServer({
      target: () => undefined,
      greeting: Buffer.from('HTTP/1.1 400'),
    });
    const nobody = await freePort();
    const run = (args: readonly string[], port = proxy.port): ReturnType<typeof xftp> =>
      xftp([...args, '--socks-proxy', `127.0.0.1:${String(port)}`], { env: { ...watch.env, HOME: folder } });
    const source = await makeFile(folder, 300_000, 'photo.jpg');
    const send = ['send', source, folder, '-r', '1', '-s'];

    const sent = await run(['send', source, folder, '-n', '2', '-s', at(`${NAME},${ONION}`)]);
    expect([sent.exitCode, sent.stderr]).toEqual([0, '']);
    const [, link = ''] = /(simplex:\/file#\S+)/.exec(sent.stdout) ?? [];
    const descriptions = join(folder, 'photo.jpg.xftp');
    const received = join(folder, 'received.jpg');
    expect((await run(['recv', link, received])).exitCode).toBe(0);
    expect(readFileSync(received).equals(readFileSync(source))).toBe(true);
    expect((await xftp(['info', join(descriptions, 'rcv2.xftp')], { env: watch.env })).exitCode).toBe(0);
    expect((await run(['del', join(descriptions, 'snd.xftp.private'), '-y'])).exitCode).toBe(0);
    expectFailure(await run(['recv', join(descriptions, 'rcv2.xftp'), folder]), 'CHUNK_GONE', /no longer/);

    expectFailure(await run([...send, at(REFUSED)]), 'CONNECT_FAILED', /refused\.invalid/);
    for (const port of [refusing.port, nonsense.port, nobody])
      expectFailure(await run([...send, at(NAME)], port), 'PROXY_FAILED', /SOCKS/);
    const never = await run([...send, at(ONION), '--onion-hosts', 'never']);
    expectFailure(never, 'TOR_REQUIRED', /onion/);
    const required = await run([...send, at(NAME), '--onion-hosts', 'require']);
    expectFailure(required, 'TOR_REQUIRED', /onion/);

    expect(strayCalls(watch, [proxy.port, refusing.port, nonsense.port, nobody])).toEqual([]);
    expect(watch.calls().map(({ port }) => port)).toEqual(
      expect.arrayContaining([proxy.port, refusing.port, nonsense.port, nobody]),
    );
  });

  it('asks nobody at all about an onion host when there is none', async () => {
    const { watch, folder, at } = await setting();
    const source = await makeFile(folder, 1000);
    const failed = await xftp(['send', source, folder, '-s', at(ONION)], { env: watch.env });
    expectFailure(failed, 'TOR_REQUIRED', /Tor only/);
    expect(watch.calls()).toEqual([]);
    expect(watch.watched()).toBeGreaterThan(0);
  });
});

describe('With a proxy, xftp-agent', () => {
  it('asks nobody but it, whatever it does and whatever fails, and as soon as it is told of another one', async () => {
    const { relay, proxy, watch, folder, at } = await setting();
    const second = await startSocksServer({ target: ({ host }) => (host === NAME ? relay.port : undefined) });
    const refusing = await startSocksServer({ target: () => undefined, refusesAccounts: true });
    const nobody = await freePort();
    const dataDir = join(folder, 'agent');
    const options = ['--data-dir', dataDir, '--server', at(NAME), '--socks-proxy', hostPort(proxy.port)];
    const env = { ...watch.env, HOME: folder };
    const program = startProgram('xftp-agent', ['start', ...options], { env });
    const client = await clientOf(program, dataDir);
    const path = await makeFile(folder, 300_000, 'photo.jpg');
    const directory = await temporaryFolder();
    const send = async (state: TransferState, server?: string): Promise<string> => {
      const servers = server === undefined ? {} : { servers: [server] };
      const { id } = await client.transfers.send({ path, redirect: 'never', ...servers });
      await reached(client, id, state);
      return id;
    };

    // What works: also through relays that are not in the list, and a link that leads to the description.
    const sent = await send('completed');
    const strange = await send('completed', at('strange.invalid'));
    const { sender, recipients } = await client.transfers.addRecipients({ id: sent, count: 2 });
    const descriptions = await client.transfers.descriptions({ id: strange });
    const link = await redirectThrough(relay.address, descriptions.recipients[0]!.description);
    for (const what of [{ description: recipients[0]!.description }, { link }]) {
      const { id } = await client.transfers.receive({ ...what, directory, acknowledge: true });
      await reached(client, id, 'completed');
    }
    await client.transfers.revoke({ id: strange });
    await client.transfers.revoke({ senderDescription: sender });
    await Promise.all([sent, strange].map((id) => happened(client, id, 'transfer.deleted')));
    await client.servers.add({ address: at(ONION) });
    const { servers: added } = await client.servers.add({ address: at(REFUSED) });
    const doctor = await runProgram('xftp-agent', ['doctor', '--data-dir', dataDir], {
      env: { HOME: folder },
    });
    expect(doctor.stdout).toContain(REFUSED);
    await client.servers.update({ id: added[0]!.id, enabled: false });

    // What fails: a relay that the proxy does not reach, and hosts that the settings do not allow.
    await client.transfers.cancel({ id: await send('waiting', at(REFUSED)) });
    await client.settings.set({ onionHosts: 'require' });
    await send('failed', at(NAME));
    await client.settings.set({ onionHosts: 'never' });
    await send('failed', at(ONION));
    await client.settings.set({ onionHosts: 'prefer' });

    // Other proxies, set while transfers are under way: none there, one that refuses, one that works.
    const late: string[] = [];
    for (const port of [nobody, refusing.port]) {
      await client.settings.set({ socksProxy: hostPort(port) });
      late.push(await send('waiting', at(NAME)));
      await client.servers.test({ address: at(NAME) });
    }
    await client.settings.set({ socksProxy: hostPort(second.port), isolation: 'chunk' });
    for (const id of late) await reached(client, id, 'completed');

    // A proxy for onion hosts only: a relay that has one is not asked at its other host, though that would work.
    await client.settings.set({ socksMode: 'onion' });
    await client.transfers.cancel({ id: await send('waiting', at(`127.0.0.1,${ONION}`)) });
    // Without any proxy nobody is asked about onion hosts.
    await client.settings.set({ socksProxy: null });
    await send('failed', at(ONION));
    const { steps } = await client.servers.test({ address: at(ONION) });
    expect(steps.at(-1)?.failure?.code).toBe('TOR_REQUIRED');

    const ports = [proxy, second, refusing].map(({ port }) => port);
    expect(strayCalls(watch, [...ports, nobody])).toEqual([]);
    expect(watch.calls().map(({ port }) => port)).toEqual(expect.arrayContaining([...ports, nobody]));
  });

  it('and its commands connect to it and to nobody else', async () => {
    const { proxy, watch, folder, at } = await setting();
    const dataDir = join(folder, 'agent');
    const options = ['--data-dir', dataDir, '--server', at(NAME), '--socks-proxy', hostPort(proxy.port)];
    const program = startProgram('xftp-agent', ['start', ...options], { env: { HOME: folder } });
    const [, port] = await program.printed(/Listening on \S*:(\d+)/);
    const path = await makeFile(folder, 1000, 'note.txt');
    for (const args of [['send', path, '--wait'], ['servers', 'test', at(REFUSED)], ['doctor'], ['stop']])
      await runProgram('xftp-agent', [...args, '--data-dir', dataDir], {
        env: { ...watch.env, HOME: folder },
      });
    expect(strayCalls(watch, [Number(port)])).toEqual([]);
    expect(watch.calls().length).toBeGreaterThanOrEqual(4);
  });
});

/** Resolves when an event of this type has been told of the transfer. */
async function happened(client: AgentClient, id: string, type: AgentEvent['type']): Promise<void> {
  for await (const event of client.events({ since: 0, transferId: id })) if (event.type === type) return;
}

function hostPort(port: number): string {
  return `127.0.0.1:${String(port)}`;
}
