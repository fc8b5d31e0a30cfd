import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

import { describe, expect, it, onTestFinished } from 'vitest';

import { RawClient } from '../support/raw-client.js';
import { chunkBytes, type TestRelay, testRelay } from '../support/test-relay.js';

async function open(relay: TestRelay): Promise<Socket> {
  const socket = connect(relay.port, '127.0.0.1');
  onTestFinished(() => {
    socket.destroy();
  });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

async function allOf(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (piece: Buffer) => (text += piece.toString()));
  await once(socket, 'close');
  return text;
}

describe('what comes without TLS, as from a proxy that has ended it', () => {
  it.each([
    ['HTTP/1.1', 'POST / HTTP/1.1\r\nHost: relay\r\nContent-Length: 16384\r\n\r\n'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a health check', 'GET / HTTP/1.0\r\n\r\n'],
  ])('%s is answered readably, and told once', async (_what, request) => {
    const relay = await testRelay();
    for (let round = 0; round < 3; round++) {
      const socket = await open(relay);
      const answer = allOf(socket);
      socket.write(request);
      socket.end(Buffer.alloc(16384));
      expect(await answer).toMatch(
        /^HTTP\/1\.1 400 Bad Request\r\n(.+\r\n)+\r\nThis port speaks XFTP over TLS\./,
      );
    }
    expect(relay.problems).toEqual([expect.stringMatching(/^HTTP without TLS came to the port.*TCP mode/)]);
  });

  it.each([
    ['text', 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n'],
    ['bytes', '\r\n\r\n\0\r\nQUIT\n!'],
  ])('the PROXY protocol, in %s, is told once and refused', async (_what, request) => {
    const relay = await testRelay();
    for (let round = 0; round < 2; round++) {
      const socket = await open(relay);
      const answer = allOf(socket);
      socket.write(request);
      expect(await answer).toBe('');
    }
    expect(relay.problems).toEqual([expect.stringMatching(/PROXY protocol.*turn it off/)]);
  });

  it('anything else is refused without a word', async () => {
    const relay = await testRelay();
    const socket = await open(relay);
    const answer = allOf(socket);
    socket.write('SSH-2.0-OpenSSH\r\n');
    expect(await answer).toBe('');
    expect(relay.problems).toEqual([]);
  });
});

it('TLS whose first byte comes alone is TLS', async () => {
  const relay = await testRelay();
  // A proxy that passes everything on, the first byte by itself.
  const proxy = createServer((client) => {
    const upstream = connect({ port: relay.port, host: '127.0.0.1', noDelay: true });
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
    upstream.pipe(client);
    client.once('data', (first: Buffer) => {
      client.pause();
      upstream.write(first.subarray(0, 1));
      // The relay has read the byte when another connection that came later has been answered.
      void relay.client().then(() => {
        upstream.write(first.subarray(1));
        client.pipe(upstream);
      });
    });
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  onTestFinished(() => void proxy.close());
  const address = proxy.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  const client = await RawClient.open({ port, fingerprint: relay.fingerprint });
  onTestFinished(() => client.close());
  expect((await client.command({ type: 'PING' })).response.type).toBe('PONG');
});

describe('several listeners', () => {
  it('serve the same chunks on every port and address, IPv4 and IPv6', async () => {
    const relay = await testRelay({ listenHost: ['127.0.0.1', '::1'], port: [0, 0] });
    expect(new Set(relay.ports).size).toBe(4);
    const [writer] = [await relay.client()];
    const chunk = await writer.create(chunkBytes());
    expect(await writer.put(chunk)).toBe('OK');
    for (const [index, port] of relay.ports.entries()) {
      const client = await RawClient.open({
        port,
        host: index < 2 ? '127.0.0.1' : '::1',
        fingerprint: relay.fingerprint,
      });
      onTestFinished(() => client.close());
      expect(Buffer.from(chunk.bytes).equals(Buffer.from(await client.get(chunk)))).toBe(true);
    }
  });

  it('share one port number where IPv4 and IPv6 have a place each', async () => {
    const first = await testRelay();
    await first.stop();
    const relay = await testRelay({ listenHost: ['0.0.0.0', '::'], port: first.port });
    expect(relay.ports).toEqual([first.port, first.port]);
    for (const host of ['127.0.0.1', '::1']) {
      const client = await RawClient.open({ port: relay.port, host, fingerprint: relay.fingerprint });
      onTestFinished(() => client.close());
      expect((await client.command({ type: 'PING' })).response.type).toBe('PONG');
    }
  });

  it('listen nowhere when one of them cannot', async () => {
    const taken = await testRelay();
    const free = await testRelay();
    await free.stop();
    await expect(testRelay({ port: [free.port, taken.port] })).rejects.toThrow(
      `cannot listen on 127.0.0.1, port ${String(taken.port)}`,
    );
    expect((await testRelay({ port: free.port })).port).toBe(free.port);
  });
});
