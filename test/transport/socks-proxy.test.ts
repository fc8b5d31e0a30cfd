import dns from 'node:dns';
import net from 'node:net';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { parseHost, type ServerAddress } from '#src/protocol/index.js';
import {
  DEFAULT_DEADLINES,
  openSession,
  parseSocksProxy,
  type Route,
  type Session,
} from '#src/transport/index.js';
import { hopsTo } from '#src/transport/route.js';
import { failing } from '../crypto/expected-failure.js';
import { startFakeRelay } from '../support/fake-relay.js';
import { type SocksServer, startSocksServer } from '../support/socks-server.js';

const ONION = `${'a'.repeat(56)}.onion`;

type Proxied = Extract<Route, { readonly proxy: unknown }>;

function routeThrough({ port }: Pick<SocksServer, 'port'>, change: Partial<Proxied> = {}): Proxied {
  const credentials = { user: 'circuit', password: 'of this unit' };
  return { proxy: { host: '127.0.0.1', port }, credentials, mode: 'always', onion: 'prefer', ...change };
}

async function open(
  server: ServerAddress,
  route: Route,
  options: { connectMs?: number; signal?: AbortSignal } = {},
): Promise<Session> {
  const { connectMs = DEFAULT_DEADLINES.connectMs, ...abort } = options;
  const session = await openSession(server, {
    deadlines: { ...DEFAULT_DEADLINES, connectMs },
    route,
    ...abort,
  });
  onTestFinished(() => {
    session.close();
  });
  return session;
}

/** The address with other hosts. */
function at(server: ServerAddress, ...hosts: readonly [string, ...string[]]): ServerAddress {
  const [first, ...others] = hosts;
  return { ...server, hosts: [parseHost(first), ...others.map(parseHost)] };
}

describe('the address of a proxy', () => {
  it.each([
    ['127.0.0.1:9050', '127.0.0.1', 9050],
    ['socks5://localhost:1080', 'localhost', 1080],
    ['socks5h://localhost:1080/', 'localhost', 1080],
    ['[::1]:9150', '::1', 9150],
    [':9150', '127.0.0.1', 9150],
    ['tor.example', 'tor.example', 9050],
  ])('%s is read', (text, host, port) => {
    expect(parseSocksProxy(text)).toEqual({ host, port });
  });

  it.each(['', ':', 'host:', 'host:0', 'host:65536', 'http://host:80', '::1', 'a b:1', 'host:1:2'])(
    '%j is refused',
    (text) => {
      expect(() => parseSocksProxy(text)).toThrow(failing('INVALID_ARGUMENT'));
    },
  );

  it('with a password is refused without telling it', () => {
    expect(() => parseSocksProxy('socks5://me:secret@host:1')).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('secret') as string }),
    );
  });
});

describe('the hosts of an address', () => {
  const server = at(
    { fingerprint: new Uint8Array(32), hosts: [parseHost('x')], port: 5 },
    'relay.example',
    ONION,
  );
  const open = { host: 'relay.example', port: 5 };
  const onion = { host: ONION, port: 5 };
  const route = routeThrough({ port: 9050 });
  const via = { proxy: route.proxy, credentials: route.credentials };

  it.each([
    [
      'always',
      'prefer',
      [
        { ...onion, via },
        { ...open, via },
      ],
    ],
    ['always', 'require', [{ ...onion, via }]],
    ['always', 'never', [{ ...open, via }]],
    ['onion', 'prefer', [{ ...onion, via }]],
    ['onion', 'require', [{ ...onion, via }]],
    ['onion', 'never', [open]],
  ] as const)('are used with mode %s and policy %s in this order', (mode, policy, hops) => {
    expect(hopsTo(server, { ...route, mode, onion: policy })).toEqual(hops);
  });

  it('are used directly without a proxy, but for those that only Tor knows', () => {
    expect(hopsTo(server)).toEqual([open]);
    expect(() => hopsTo(at(server, ONION))).toThrow(failing('TOR_REQUIRED'));
    // Whoever wants onion hosts only, and has no proxy, gets no other way.
    expect(() => hopsTo(server, { onion: 'require' })).toThrow(failing('TOR_REQUIRED'));
  });

  it.each([
    ['require', 'relay.example'],
    ['never', ONION],
  ] as const)('are none when the policy is %s and there is only %s', (policy, host) => {
    for (const mode of ['always', 'onion'] as const)
      expect(() => hopsTo(at(server, host), { ...route, mode, onion: policy })).toThrow(
        failing('TOR_REQUIRED'),
      );
  });
});

describe('a session through a proxy', () => {
  it.each([ONION, 'relay.example', '127.0.0.1'])(
    'reaches %s, whose name nobody looks up here',
    async (host) => {
      const relay = await startFakeRelay();
      const proxy = await startSocksServer({ target: () => relay.port });
      const lookup = vi.spyOn(dns, 'lookup');
      const dialled = vi.spyOn(net.Socket.prototype, 'connect');
      onTestFinished(() => {
        vi.restoreAllMocks();
      });
      const session = await open(at(relay.server, host), routeThrough(proxy));
      expect(session.place).toBe(`${host}:${String(relay.port)}`);
      expect(proxy.requests).toEqual([{ user: 'circuit', password: 'of this unit', host, port: relay.port }]);
      expect(lookup).not.toHaveBeenCalled();
      // The second one is the proxy's own, to the relay.
      const ports = dialled.mock.calls.map(
        ([first]) => ([first].flat() as unknown as { port: number }[])[0]?.port,
      );
      expect(ports.filter((port) => port !== relay.port)).toEqual([proxy.port]);
    },
  );

  it('fails when the proxy is not there, and no byte goes around it', async () => {
    const relay = await startFakeRelay();
    const proxy = await startSocksServer({ target: () => relay.port });
    await proxy.stop();
    await expect(open(relay.server, routeThrough(proxy))).rejects.toMatchObject({
      code: 'PROXY_FAILED',
      message: expect.stringContaining('nothing listens there') as string,
    });
    expect(relay.accepted()).toBe(0);
    await proxy.start();
    expect((await open(relay.server, routeThrough(proxy))).usable).toBe(true);
  });

  it('fails when the proxy cannot reach the relay', async () => {
    const relay = await startFakeRelay();
    const proxy = await startSocksServer({ target: () => undefined });
    const outcome = open(at(relay.server, ONION, 'relay.example'), routeThrough(proxy));
    await expect(outcome).rejects.toThrow(failing('CONNECT_FAILED'));
    expect(proxy.requests.map(({ host }) => host)).toEqual([ONION, 'relay.example']);
    expect(relay.accepted()).toBe(0);
  });

  it('fails when what listens there is no SOCKS proxy', async () => {
    const relay = await startFakeRelay();
    const proxy = await startSocksServer({
      target: () => relay.port,
      greeting: Buffer.from('HTTP/1.1 400\r\n'),
    });
    await expect(open(relay.server, routeThrough(proxy))).rejects.toThrow(failing('PROXY_FAILED'));
    expect(relay.accepted()).toBe(0);
  });

  it('fails as one of the proxy when that answers with a code that there is not', async () => {
    const relay = await startFakeRelay();
    const proxy = await startSocksServer({ target: () => undefined, refusal: 99 });
    await expect(open(relay.server, routeThrough(proxy))).rejects.toThrow(failing('PROXY_FAILED'));
  });

  it('fails after a while when the relay does not answer through the proxy', async () => {
    const relay = await startFakeRelay();
    const proxy = await startSocksServer({ target: () => relay.port, connects: false });
    const outcome = open(relay.server, routeThrough(proxy), { connectMs: 200 });
    await expect(outcome).rejects.toThrow(failing('STALLED'));
  });

  it('fails after a while when the proxy says nothing, and leaves no connection behind', async () => {
    const relay = await startFakeRelay();
    const proxy = await startSocksServer({ target: () => relay.port, silent: true });
    const outcome = open(relay.server, routeThrough(proxy), { connectMs: 200 });
    await expect(outcome).rejects.toMatchObject({
      code: 'PROXY_FAILED',
      message: expect.stringContaining('does not answer') as string,
    });
    await vi.waitUntil(() => proxy.open() === 0);
  });

  it('is given up at once when the caller stops, and its connection soon', async () => {
    const relay = await startFakeRelay();
    const proxy = await startSocksServer({ target: () => relay.port, silent: true });
    const abort = new AbortController();
    const outcome = open(relay.server, routeThrough(proxy), { connectMs: 2000, signal: abort.signal });
    await vi.waitUntil(() => proxy.open() === 1);
    abort.abort();
    await expect(outcome).rejects.toThrow(failing('CANCELLED'));
    await vi.waitUntil(() => proxy.open() === 0, 10_000);
  });

  it('is given up when the caller stops while a proxy that said nothing is asked once more', async () => {
    const relay = await startFakeRelay();
    const proxy = await startSocksServer({ target: () => relay.port, silent: true });
    const signal = AbortSignal.timeout(600);
    const outcome = open(relay.server, routeThrough(proxy), { connectMs: 200, signal });
    await expect(outcome).rejects.toThrow(failing('CANCELLED'));
  });

  it('breaks with the proxy', async () => {
    const relay = await startFakeRelay();
    const proxy = await startSocksServer({ target: () => relay.port });
    const session = await open(relay.server, routeThrough(proxy));
    await proxy.stop();
    await session.closed;
    expect(session.usable).toBe(false);
  });
});
