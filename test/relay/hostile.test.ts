import { randomBytes } from 'node:crypto';
import { connect as connectTcp, type Socket } from 'node:net';

import { describe, expect, it, onTestFinished } from 'vitest';

import { generateKeyPair } from '#src/crypto/index.js';

import { asSender, openTls, RawClient } from '../support/raw-client.js';
import { chunkBytes, type TestRelay, testRelay } from '../support/test-relay.js';

/** Short deadlines, so that a test of one takes no minute. */
const HASTY = { tlsHandshakeMs: 300, protocolHandshakeMs: 300, blockMs: 300, downloadStallMs: 300 };

function ended(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.on('error', () => undefined);
    socket.resume();
    socket.once('close', () => {
      resolve();
    });
  });
}

function openTcp(relay: TestRelay): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp(relay.port, '127.0.0.1', () => {
      resolve(socket);
    });
    socket.once('error', reject);
    onTestFinished(() => {
      socket.destroy();
    });
  });
}

async function expectHealthy(relay: TestRelay): Promise<void> {
  const client = await relay.client();
  const chunk = await client.create(chunkBytes());
  expect(await client.put(chunk)).toBe('OK');
  expect(await client.get(chunk)).toBeInstanceOf(Buffer);
  expect(relay.problems).toEqual([]);
}

describe('the relay outlives', () => {
  it('random bytes instead of TLS', async () => {
    const relay = await testRelay();
    for (let round = 0; round < 20; round++) {
      const socket = await openTcp(relay);
      socket.write(randomBytes(1 + round * 100));
      socket.end();
      await ended(socket);
    }
    await expectHealthy(relay);
  });

  it('HTTP/1.1 within TLS', async () => {
    const relay = await testRelay();
    const secure = await openTls({ port: relay.port, alpn: ['http/1.1'] });
    secure.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await ended(secure);
    await expectHealthy(relay);
  });

  it('TLS with garbage in it, and resets in the middle of handshakes', async () => {
    const relay = await testRelay();
    for (let round = 0; round < 10; round++) {
      const secure = await openTls({ port: relay.port });
      secure.write(randomBytes(5000));
      await ended(secure);
      const socket = await openTcp(relay);
      socket.write(Buffer.from('16030100c8010000c40303', 'hex'));
      socket.resetAndDestroy();
    }
    await expectHealthy(relay);
  });

  it('header lists of any size', async () => {
    const relay = await testRelay();
    for (const headers of [
      { 'x-huge': 'x'.repeat(60_000) },
      Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`x-${String(index)}`, 'x'])),
    ]) {
      const client = await RawClient.connect({ port: relay.port });
      onTestFinished(() => client.close());
      await RawClient.reply(client.start(headers, true)).catch(() => undefined);
    }
    await expectHealthy(relay);
  });

  it('thousands of streams, opened and left alone, or opened and reset', async () => {
    const relay = await testRelay({ limits: { blockMs: 500 } });
    const idle = await relay.client();
    for (let stream = 0; stream < 2000; stream++) idle.start();
    const resetting = await relay.client();
    for (let stream = 0; stream < 2000; stream++) resetting.start().close(8);
    await Promise.all([ended(idle.socket), expectHealthy(relay)]);
  });

  it('requests of other methods', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])
      await RawClient.reply(client.start({ ':method': method }, true)).catch(() => undefined);
    expect((await client.command({ type: 'PING' })).response.type).toBe('PONG');
    await expectHealthy(relay);
  });

  it('clients that reset their uploads and downloads half way', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    const chunk = await client.create(chunkBytes(4194304));
    await client.put(chunk);
    for (let round = 0; round < 10; round++) {
      const upload = client.start();
      upload.write(client.block({ type: 'FPUT' }, asSender(chunk)));
      upload.write(chunkBytes(100_000));
      upload.close(8);
    }
    expect((await client.command({ type: 'PING' })).response.type).toBe('PONG');
    await expectHealthy(relay);
  });
});

describe('the relay ends connections', () => {
  it('that do not begin TLS', async () => {
    const relay = await testRelay({ limits: HASTY });
    await ended(await openTcp(relay));
  });

  it('that do not begin HTTP/2, or the handshake', async () => {
    const relay = await testRelay({ limits: HASTY });
    await ended(await openTls({ port: relay.port }));
    const client = await RawClient.connect({ port: relay.port });
    await ended(client.socket);
    const hello = await RawClient.connect({ port: relay.port });
    await hello.request();
    await ended(hello.socket);
  });

  it('whose blocks come too slowly', async () => {
    const relay = await testRelay({ limits: HASTY });
    const client = await relay.client();
    const stream = client.start();
    const drip = setInterval(() => stream.write('#'), 50);
    await ended(client.socket);
    clearInterval(drip);
    await expectHealthy(relay);
  });

  it('that take nothing of what they download', async () => {
    const relay = await testRelay({ limits: HASTY });
    const writer = await relay.client();
    const chunk = await writer.create(chunkBytes(4194304));
    await writer.put(chunk);
    const raw = await openStalledDownload(relay, chunk);
    await ended(raw.socket);
    await expectHealthy(relay);
  });

  it('beyond its bound at once, and takes new ones when others have ended', async () => {
    const relay = await testRelay({ limits: { connections: 2 } });
    const [first, second] = [await relay.client(), await relay.client()];
    for (let round = 0; round < 5; round++) await ended(await openTcp(relay));
    for (const client of [first, second])
      expect((await client.command({ type: 'PING' })).response.type).toBe('PONG');
    await first.close();
    await expect
      .poll(() => relay.client().then(() => 'accepted', String), { timeout: 10_000 })
      .toBe('accepted');
    expect(relay.problems).toEqual([]);
  });

  it('at once when it stops, those in the middle of TLS and those without requests', async () => {
    const relay = await testRelay({ limits: { shutdownMs: 3_600_000 } });
    const [half, idle] = [await openTcp(relay), await relay.client()];
    const closed = Promise.all([ended(half), ended(idle.socket)]);
    await relay.stop();
    await closed;
  });

  it('that send without end behind a refused command', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    const stream = client.start();
    const piece = Buffer.alloc(65536);
    stream.write(client.block({ type: 'PING' }));
    // A turn of the event loop in between, so that the end of the connection is seen.
    const pump = (): void => {
      if (!stream.destroyed) stream.write(piece, () => setImmediate(pump));
    };
    pump();
    // Node does not always see that a connection is gone while it has nothing to read or write.
    const goaway = new Promise((resolve) => client.http2.once('goaway', resolve));
    await Promise.race([ended(client.socket), goaway]);
    await expectHealthy(relay);
  });
});

/** A download whose stream is never read: flow control stops the relay. */
async function openStalledDownload(
  relay: TestRelay,
  chunk: Parameters<RawClient['get']>[0],
): Promise<RawClient> {
  const client = await RawClient.open({ port: relay.port, fingerprint: relay.fingerprint, window: 65535 });
  const stream = client.start();
  stream.end(
    client.block(
      { type: 'FGET', key: generateKeyPair('x25519').publicKey },
      { entityId: chunk.recipientId, key: chunk.recipientKey },
    ),
  );
  stream.pause();
  return client;
}
