import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { StallTimer } from '#src/transport/deadlines.js';

const STALL_MS = 400;

describe('StallTimer', () => {
  it('does not take it for silence that this process stands still', async () => {
    const server = createServer((socket) => socket.end('a'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const onStall = vi.fn();
    const timer = new StallTimer(STALL_MS, onStall);
    const { port } = server.address() as AddressInfo; // listens on a TCP port
    const socket = connect(port, '127.0.0.1');
    socket.once('data', () => {
      timer.touch();
    });
    // Neither the timer nor what has come is looked at meanwhile.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2 * STALL_MS);
    await once(socket, 'data');
    expect(onStall).not.toHaveBeenCalled();
    await vi.waitFor(() => {
      expect(onStall).toHaveBeenCalledOnce();
    }, 100 * STALL_MS);
  });

  it('calls nothing any more when it was stopped', async () => {
    const onStall = vi.fn();
    const timer = new StallTimer(1, onStall);
    timer.stop();
    timer.touch();
    await delay(50);
    expect(onStall).not.toHaveBeenCalled();
  });
});
