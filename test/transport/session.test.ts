import dns from 'node:dns';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { generateKeyPair, publicKeyOf, randomBytes, signSessionKey } from '#src/crypto/index.js';
import {
  encodeBareError,
  encodeTransmission,
  encodeUtf8,
  type FailureCode,
  pad,
  parseHost,
  parseServerAddress,
  type ServerAddress,
  type ServerHello,
  type VersionRange,
} from '#src/protocol/index.js';
import { DEFAULT_DEADLINES, openSession, type Session } from '#src/transport/index.js';
import { failing } from '../crypto/expected-failure.js';
import { type FakeRelay, type FakeRelayOptions, startFakeRelay } from '../support/fake-relay.js';
import { createCredentials, startHttp2Server } from '../support/http2-server.js';
import { block, deferred, SHORT_STALL_MS } from './channel-samples.js';

/** Opens a session, which ends with the running test. */
async function open(
  server: ServerAddress,
  options: Partial<Parameters<typeof openSession>[1]> = {},
): Promise<Session> {
  const session = await openSession(server, { deadlines: DEFAULT_DEADLINES, ...options });
  onTestFinished(async () => {
    session.close();
    await session.closed;
  });
  return session;
}

async function expectRefused(options: FakeRelayOptions, code: FailureCode): Promise<void> {
  const relay = await startFakeRelay(options);
  await expect(open(relay.server)).rejects.toThrow(failing(code));
  await relay.allClosed();
}

describe('a session with an honest relay', () => {
  it('has the session identifier of TLS, the highest common version and the session key', async () => {
    let hello: ServerHello | undefined;
    const relay = await startFakeRelay({ hello: (honest) => (hello = honest) });
    const session = await open(relay.server);
    expect(session.version).toBe(3);
    expect(session.sessionId).toStrictEqual(Buffer.from(hello?.sessionId ?? []));
    expect(session.sessionId).toHaveLength(32);
    expect(session.relayKey).toHaveLength(44);
    expect(session.place).toBe(`${relay.host}:${String(relay.port)}`);
    expect(session.usable).toBe(true);
    expect(session.active).toBe(0);
  });

  it.each<[VersionRange, number]>([
    [{ min: 1, max: 1 }, 1],
    [{ min: 1, max: 2 }, 2],
    [{ min: 2, max: 9 }, 3],
    [{ min: 3, max: 3 }, 3],
  ])('of versions %o is of version %i', async (versions, version) => {
    const relay = await startFakeRelay({ hello: (honest) => ({ ...honest, versions }) });
    expect((await open(relay.server)).version).toBe(version);
  });

  it('without ALPN is of version 1 and has no session key', async () => {
    const relay = await startFakeRelay({ alpn: false });
    const session = await open(relay.server);
    expect([session.version, session.relayKey]).toStrictEqual([1, undefined]);
    const { block: answer } = await session.exchange({
      block: encodeTransmission({
        sessionId: session.sessionId,
        correlationId: new Uint8Array(),
        entityId: new Uint8Array(),
        command: encodeUtf8('PING'),
      }),
    });
    expect(answer).toHaveLength(16384);
  });

  it('ends when either side closes it', async () => {
    const relay = await startFakeRelay();
    const ours = await open(relay.server);
    ours.close();
    await Promise.all([ours.closed, relay.allClosed()]);
    const theirs = await open(relay.server);
    for (const { session } of relay.connections) session.close();
    await theirs.closed;
    expect(theirs.usable).toBe(false);
  });

  it('works with an address of several hosts of which the first do not answer', async () => {
    const relay = await startFakeRelay();
    const hosts = [parseHost('127.0.0.2'), parseHost('127.0.0.3'), ...relay.server.hosts] as const;
    expect((await open({ ...relay.server, hosts })).place).toBe(`127.0.0.1:${String(relay.port)}`);
  });

  it('says what is missing when there are onion hosts only, and asks nobody for their names', async () => {
    const { server } = await startFakeRelay();
    const lookup = vi.spyOn(dns, 'lookup');
    const hosts = [parseHost(`${'a'.repeat(56)}.onion`)] as const;
    await expect(open({ ...server, hosts })).rejects.toThrow(failing('TOR_REQUIRED'));
    expect(lookup).not.toHaveBeenCalled();
    lookup.mockRestore();
  });

  it('does not try onion hosts where there are others', async () => {
    const { port, server } = await startFakeRelay();
    const hosts = [parseHost(`${'a'.repeat(56)}.onion`), ...server.hosts] as const;
    expect((await open({ ...server, hosts })).place).toBe(`127.0.0.1:${String(port)}`);
  });
});

describe('a relay with another identity', () => {
  it('is refused when the address names another fingerprint', async () => {
    const relay = await startFakeRelay();
    const outcome = open({ ...relay.server, fingerprint: randomBytes(32) });
    await expect(outcome).rejects.toThrow(failing('IDENTITY_MISMATCH'));
    await relay.allClosed();
  });

  it('is refused at the first host, without trying the next', async () => {
    const relay = await startFakeRelay();
    const [host] = relay.server.hosts;
    const server = { ...relay.server, hosts: [host, host] as const, fingerprint: randomBytes(32) };
    await expect(open(server)).rejects.toThrow(failing('IDENTITY_MISMATCH'));
    expect(relay.accepted()).toBe(1);
  });

  const credentials = createCredentials();
  const [leaf = new Uint8Array(), ca = new Uint8Array()] = credentials.certificates;
  const stranger = createCredentials();
  const [strangersLeaf = new Uint8Array(), strangersCa = new Uint8Array()] = stranger.certificates;

  it.each([
    ['shows only its online certificate', { ...credentials, certificates: [leaf] }],
    [
      'shows only its identity certificate, which is no secret',
      { certificates: [ca], privateKey: credentials.identity.privateKey },
    ],
    [
      "shows a stranger's online certificate and its identity certificate",
      { ...stranger, certificates: [strangersLeaf, ca] },
    ],
    [
      "shows a stranger's two certificates and then its own",
      { ...stranger, certificates: [strangersLeaf, strangersCa, ca] },
    ],
  ])('is refused when it %s in TLS', async (_, shown) => {
    await expectRefused({ credentials, shown }, 'IDENTITY_MISMATCH');
  });

  const key = generateKeyPair('x25519').publicKey;
  it.each<[string, (honest: ServerHello) => Partial<ServerHello>]>([
    ['another session identifier', () => ({ sessionId: randomBytes(32) })],
    ['a cut session identifier', ({ sessionId }) => ({ sessionId: sessionId.subarray(1) })],
    ['an empty session identifier', () => ({ sessionId: new Uint8Array() })],
    ['another online certificate', () => ({ certificates: [strangersLeaf, ca] })],
    ['another identity certificate', () => ({ certificates: [leaf, strangersCa] })],
    ['its certificates swapped', () => ({ certificates: [ca, leaf] })],
    ['one certificate', () => ({ certificates: [leaf] })],
    ['three certificates', () => ({ certificates: [leaf, ca, ca] })],
    ['a session key signed by a stranger', () => ({ signedKey: signSessionKey(stranger.privateKey, key) })],
    [
      'a session key signed by its identity',
      () => ({ signedKey: signSessionKey(credentials.identity.privateKey, key) }),
    ],
    ['a bare session key', () => ({ signedKey: key })],
    ['no session key', () => ({ signedKey: new Uint8Array() })],
    [
      'one changed byte in the signature of its session key',
      ({ signedKey }) => ({ signedKey: signedKey.map((byte, at) => (at === 100 ? byte ^ 1 : byte)) }),
    ],
  ])('is refused when its hello has %s', async (_, lie) => {
    await expectRefused(
      { credentials, hello: (honest) => ({ ...honest, ...lie(honest) }) },
      'IDENTITY_MISMATCH',
    );
  });

  it('that signs with its own key is no other', () => {
    expect(publicKeyOf(credentials.privateKey)).not.toStrictEqual(publicKeyOf(stranger.privateKey));
  });
});

describe('a relay that does not keep to the protocol', () => {
  it.each<[string, FakeRelayOptions, FailureCode]>([
    [
      'speaks only versions 4 and 5',
      { hello: (hello) => ({ ...hello, versions: { min: 4, max: 5 } }) },
      'RELAY_VERSION',
    ],
    [
      'has an impossible version range',
      { hello: (hello) => ({ ...hello, versions: { min: 3, max: 1 } }) },
      'RELAY_PROTOCOL',
    ],
    ['greets with garbage', { hello: () => block(0x7f) }, 'RELAY_PROTOCOL'],
    ['greets with a block of nothing', { hello: () => pad(new Uint8Array()) }, 'RELAY_PROTOCOL'],
    ['greets with nothing', { hello: () => new Uint8Array() }, 'RELAY_PROTOCOL'],
    ['greets with half a block', { hello: () => new Uint8Array(8000) }, 'RELAY_PROTOCOL'],
    ['greets with more than a block', { hello: () => new Uint8Array(16385) }, 'RELAY_PROTOCOL'],
    ['greets without certificates', { hello: (hello) => ({ ...hello, certificates: [] }) }, 'RELAY_PROTOCOL'],
    ['refuses the hello', { hello: () => encodeBareError({ type: 'SESSION' }) }, 'RELAY_TEMPORARY'],
    ['refuses the handshake', { handshakeReply: encodeBareError({ type: 'HANDSHAKE' }) }, 'RELAY_TEMPORARY'],
    ['answers the handshake with a block', { handshakeReply: block(0) }, 'RELAY_PROTOCOL'],
    ['answers the handshake with one byte', { handshakeReply: Uint8Array.of(1) }, 'RELAY_PROTOCOL'],
    ['knows only another ALPN protocol', { alpn: 'smp/1' }, 'TLS_FAILED'],
  ])('is refused when it %s', async (_, options, code) => {
    await expectRefused(options, code);
  });

  it('keeps its own words in the failure', async () => {
    const relay = await startFakeRelay({
      hello: () => encodeBareError({ type: 'OTHER', text: 'NEW_ERROR' }),
    });
    await expect(open(relay.server)).rejects.toMatchObject({ code: 'RELAY_TEMPORARY', wire: 'NEW_ERROR' });
  });

  it.each([
    ['hello', 1],
    ['handshake', 2],
  ])('is CONNECTION_LOST when it cuts the connection instead of answering the %s', async (_, at) => {
    let requests = 0;
    const relay: FakeRelay = await startFakeRelay({
      onRequest: () => {
        requests += 1;
        if (requests === at) for (const { socket } of relay.connections) socket.destroy();
      },
    });
    await expect(open(relay.server)).rejects.toThrow(failing('CONNECTION_LOST'));
    expect(requests).toBe(at);
  });

  it('is refused when it speaks HTTP/1.1 over TLS', async () => {
    const credentials = createCredentials();
    const { port } = await startHttp2Server({
      credentials,
      onSocket: (socket) => {
        socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      },
    });
    const { server } = await startFakeRelay({ credentials });
    await expect(open({ ...server, port })).rejects.toThrow(failing('CONNECTION_LOST'));
  });
});

/** A TCP server without TLS, which ends with the running test. */
async function plainServer(onConnection: (socket: Socket) => void): Promise<ServerAddress> {
  const sockets = new Set<Socket>();
  const listener = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    listener.close();
    await once(listener, 'close');
  });
  const { port } = listener.address() as AddressInfo; // listens on a TCP port
  return { fingerprint: new Uint8Array(32), hosts: [parseHost('127.0.0.1')], port };
}

const SHORT = { connectMs: SHORT_STALL_MS, stallMs: SHORT_STALL_MS };

describe('what answers, but not as a relay', () => {
  it('is TLS_FAILED when it speaks plain HTTP', async () => {
    const server = await plainServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await expect(open(server)).rejects.toThrow(failing('TLS_FAILED'));
  });

  it('is CONNECT_FAILED when it hangs up', async () => {
    const server = await plainServer((socket) => socket.end());
    await expect(open(server)).rejects.toThrow(failing('CONNECT_FAILED'));
  });

  it('is CONNECT_FAILED when nothing listens', async () => {
    const { port, ...server } = await plainServer(() => undefined);
    const nobody = { ...server, hosts: [parseHost('127.0.0.2')] as const, port: port ?? 0 };
    await expect(open(nobody)).rejects.toThrow(failing('CONNECT_FAILED'));
  });

  it('is CONNECT_FAILED when the name does not exist', async () => {
    const server = parseServerAddress('xftp://AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=@nowhere.invalid');
    await expect(open(server)).rejects.toThrow(failing('CONNECT_FAILED'));
  });

  it('is STALLED when it never speaks TLS', async () => {
    const server = await plainServer(() => undefined);
    await expect(open(server, { deadlines: { ...SHORT, stallMs: 60_000 } })).rejects.toThrow(
      failing('STALLED'),
    );
  });

  it.each<[string, FakeRelayOptions]>([
    ['the hello', { hello: () => 'silence' }],
    ['the handshake', { handshakeReply: 'silence' }],
  ])('is STALLED when it never answers %s', async (_, options) => {
    const relay = await startFakeRelay(options);
    const deadlines = { connectMs: 60_000, stallMs: SHORT_STALL_MS };
    await expect(open(relay.server, { deadlines })).rejects.toThrow(failing('STALLED'));
    await relay.allClosed();
  });
});

describe('a relay that talks but does not finish the handshake', () => {
  it('is STALLED', async () => {
    const relay = await startFakeRelay({ handshakeReply: 'silence' });
    const deadlines = { connectMs: SHORT_STALL_MS, stallMs: 60_000 };
    const opening = open(relay.server, { deadlines });
    await expect(opening).rejects.toThrow(failing('STALLED'));
    await expect(opening).rejects.toThrow(/ did not finish the handshake within /);
    await relay.allClosed();
  });
});

describe('an aborted attempt', () => {
  it('never starts when its signal has aborted', async () => {
    const relay = await startFakeRelay();
    const outcome = open(relay.server, { signal: AbortSignal.abort() });
    await expect(outcome).rejects.toThrow(failing('CANCELLED'));
    expect(relay.accepted()).toBe(0);
  });

  it('is CANCELLED while TLS is being set up', async () => {
    const connected = deferred();
    const server = await plainServer(() => {
      connected.resolve();
    });
    const abort = new AbortController();
    const outcome = expect(open(server, { signal: abort.signal })).rejects.toThrow(failing('CANCELLED'));
    await connected.promise;
    abort.abort();
    await outcome;
  });

  it('is CANCELLED while the relay is to answer the hello, and leaves no connection', async () => {
    const asked = deferred();
    const relay = await startFakeRelay({
      hello: () => {
        asked.resolve();
        return 'silence';
      },
    });
    const abort = new AbortController();
    const outcome = expect(open(relay.server, { signal: abort.signal })).rejects.toThrow(
      failing('CANCELLED'),
    );
    await asked.promise;
    abort.abort();
    await outcome;
    await relay.allClosed();
  });
});
