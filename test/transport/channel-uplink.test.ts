import { once } from 'node:events';

import { describe, expect, it, onTestFinished } from 'vitest';

import { Channel } from '#src/transport/channel.js';
import { openTlsConnection } from '#src/transport/tls-connection.js';
import { failing } from '../crypto/expected-failure.js';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.js';
import { readBody, startHttp2Server } from '../support/http2-server.js';
import { block, bodyWatch, manualServer, openChannel, PATIENT_MS, pattern } from './channel-samples.js';

/** More than the buffers of the system between the channel and the server. */
const HUGE = new Uint8Array(8 * 1024 * 1024).fill(5);
const UPLOADS = 6;
/** Window of the connection that lets all of it through. */
const WIDE = 64 * 1024 * 1024;

/** A channel through a proxy to a server that takes all it can get, and the socket below it. */
async function channelThroughProxy(stallMs: number): Promise<{
  channel: Channel;
  socket: Awaited<ReturnType<typeof openTlsConnection>>;
  proxy: FaultProxy;
}> {
  const server = await startHttp2Server({
    onStream: (stream, { session }) => {
      session.setLocalWindowSize(WIDE);
      void readBody(stream).then(
        () => stream.end(block(2)),
        () => undefined,
      );
    },
  });
  const proxy = await startFaultProxy(server.port);
  const { host } = server;
  const socket = await openTlsConnection({ host, port: proxy.port }, { connectMs: PATIENT_MS });
  const channel = new Channel(socket, { authority: host, place: host, stallMs });
  onTestFinished(async () => {
    channel.destroy();
    socket.destroy();
    await channel.closed;
  });
  // The server's windows are wide from here on.
  await channel.exchange({ block: block(1) });
  return { channel, socket, proxy };
}

/** Uploads that fill all buffers on the way to a server that reads no more: the last write never ends. */
async function blockedUploads(stallMs: number): Promise<{
  readonly channel: Channel;
  readonly uploads: readonly Promise<unknown>[];
  /** Resolves when the socket has ended and no body is in use. */
  readonly ended: () => Promise<void>;
}> {
  const { channel, socket, proxy } = await channelThroughProxy(stallMs);
  proxy.setFault({ type: 'stall', direction: 'up', after: 100_000 });
  const closed = once(socket, 'close');
  const watches = Array.from({ length: UPLOADS }, () => bodyWatch());
  const uploads = watches.map(({ onBodyReleased }) =>
    channel.exchange({ block: block(1), body: HUGE, onBodyReleased }),
  );
  for (const upload of uploads) upload.catch(() => undefined); // The test looks at them later.
  await proxy.struck();
  // The buffers are full when nothing moves any more.
  let written = -1;
  const moves = (): boolean => {
    const before = written;
    written = socket.bytesWritten;
    return written !== before;
  };
  await expect.poll(moves, { interval: 100 }).toBe(false);
  return {
    channel,
    uploads,
    ended: async () => {
      await Promise.all([closed, channel.closed, ...watches.map(({ released }) => released)]);
      expect(watches.map(({ times }) => times())).toEqual(watches.map(() => 1));
    },
  };
}

describe('an upload whose other side reads no more', () => {
  it('fails with STALLED, ends the socket, and releases the body', async () => {
    const { uploads, ended } = await blockedUploads(2000);
    await Promise.all(uploads.map((upload) => expect(upload).rejects.toThrow(failing('STALLED'))));
    await ended();
  });

  it('ends at once when the channel is destroyed', async () => {
    const { channel, uploads, ended } = await blockedUploads(3_600_000);
    channel.destroy();
    await Promise.all(uploads.map((upload) => expect(upload).rejects.toThrow(failing('CONNECTION_LOST'))));
    await ended();
  });
});

describe('an upload that the relay has whole and never answers', () => {
  it('ends, though the relay goes on to send pings', async () => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server, 200);
    const upload = channel.exchange({ block: block(1), body: pattern(100_000) });
    const failed = expect(upload).rejects.toThrow(failing('STALLED'));
    const stream = await nextStream();
    const pings = setInterval(() => stream.session?.ping(() => undefined), 50);
    onTestFinished(() => {
      clearInterval(pings);
    });
    await readBody(stream);
    await failed;
  });
});

describe('an upload on a slow link', () => {
  it('goes on as long as bytes flow, however long a piece of it takes', async () => {
    const { server, nextStream } = await manualServer();
    const proxy = await startFaultProxy(server.port);
    // Node hands over 256 KiB at once, which take two seconds; the server's windows move every quarter of one.
    const channel = await openChannel({ ...server, port: proxy.port }, 1000);
    const body = pattern(600_000);
    proxy.setFault({ type: 'slow', direction: 'up', bytesPerSecond: 128 * 1024 });
    const reply = channel.exchange({ block: block(1), body });
    const stream = await nextStream();
    const received = await readBody(stream);
    stream.end(block(2));
    expect((await reply).block).toStrictEqual(block(2));
    expect(received.length).toBe(block(1).length + body.length);
  });
});
