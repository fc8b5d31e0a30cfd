import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

import { expect, it, onTestFinished, vi } from 'vitest';

import { hasPeer } from '#src/system/index.js';

it('a connection has a peer until that resets it, also when nothing is read', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => undefined).pause();
  await once(socket, 'connect');
  const [peer] = await accepted;
  // Also what a socket remembers of its other side does not count.
  expect([socket.remoteAddress, hasPeer(socket)]).toEqual(['127.0.0.1', true]);
  peer.resetAndDestroy();
  await vi.waitUntil(() => !hasPeer(socket) || socket.destroyed);
  expect([socket.destroyed, hasPeer(socket)]).toEqual([false, false]);
});
