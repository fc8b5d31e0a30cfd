import { finished } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';

import { describe, expect, it, vi } from 'vitest';

import { bytesEqual, concatBytes } from '#src/protocol/index.js';
import { Channel } from '#src/transport/channel.js';
import { openTlsConnection } from '#src/transport/tls-connection.js';
import { failing } from '../crypto/expected-failure.js';
import { startFaultProxy } from '../support/fault-proxy.js';
import { readBody } from '../support/http2-server.js';
import {
  block,
  bodyWatch,
  deferred,
  expectUntouched,
  manualServer,
  openChannel,
  PATIENT_MS,
  pattern,
  SHORT_STALL_MS,
  writeAll,
} from './channel-samples.js';

const CHUNK = 256 * 1024;
/** Longer than a busy machine stands still. */
const LULL_MS = 400;

describe('a request that stalls', () => {
  it('fails with STALLED and ends a session that nobody else uses', async () => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server, SHORT_STALL_MS);
    const reply = channel.exchange({});
    const outcome = expect(reply).rejects.toThrow(failing('STALLED'));
    await nextStream();
    await outcome;
    await channel.closed;
    expect(channel.usable).toBe(false);
  });

  it('waits for its answer while the relay sends others something, and not for ever', async () => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server, LULL_MS);
    const into = new Uint8Array(1024 * 1024);
    let going = true;
    const more = (): void => {
      if (going) moving.write(Uint8Array.of(9));
    };
    const other = channel.exchange({ block: block(1), into }, { onReceived: () => setImmediate(more) });
    const moving = await nextStream();
    moving.write(block(3));
    more();
    const begun = performance.now();
    const [late, never] = [channel.exchange({ block: block(1) }), channel.exchange({ block: block(1) })];
    const unanswered = expect(never).rejects.toThrow(failing('STALLED'));
    const answers = await nextStream();
    await delay(2 * LULL_MS);
    answers.end(block(4));
    expect((await late).block).toStrictEqual(block(4));
    await unanswered;
    expect(performance.now() - begun).toBeGreaterThan(4 * LULL_MS);
    going = false;
    moving.end();
    await other;
  });

  it('leaves another one intact: no reset, and the session ends with the other', async () => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server, SHORT_STALL_MS);
    const stalling = channel.exchange({ block: block(1), into: new Uint8Array(CHUNK) });
    const stalled = await nextStream();
    stalled.write(block(2));
    const into = new Uint8Array(1024 * 1024);
    let going = true;
    let sent = 0;
    // One more byte whenever one has arrived: it never stands still, however long the test takes.
    const more = (): void => {
      if (!going) return;
      sent += 1;
      moving.write(Uint8Array.of(9));
    };
    const other = channel.exchange({ block: block(1), into }, { onReceived: () => setImmediate(more) });
    const moving = await nextStream();
    moving.write(block(3));
    more();
    await expect(stalling).rejects.toThrow(failing('STALLED'));
    expect(channel.usable).toBe(false);
    await expect(channel.exchange({})).rejects.toThrow(failing('CONNECTION_LOST'));
    expectUntouched(stalled);
    expectUntouched(moving);
    // What comes too late is drained, and the buffer of the caller is left alone.
    await writeAll(stalled, pattern(CHUNK));
    stalled.end();
    expectUntouched(stalled);
    going = false;
    moving.end();
    const { block: answer, received } = await other;
    expect(answer).toStrictEqual(block(3));
    expect(received).toBe(sent);
    await channel.closed;
  });
});

describe('one of two downloads that is aborted', () => {
  it('leaves the other intact and is drained without a reset', async () => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server);
    const abort = new AbortController();
    const given = new Uint8Array(CHUNK);
    const first = channel.exchange({ block: block(1), into: given }, { signal: abort.signal });
    const firstStream = await nextStream();
    const into = new Uint8Array(CHUNK);
    const second = channel.exchange({ block: block(1), into });
    const secondStream = await nextStream();
    for (const stream of [firstStream, secondStream]) await readBody(stream);
    const body = pattern(CHUNK);
    await writeAll(firstStream, concatBytes(block(2), body.subarray(0, 1000)));
    await writeAll(secondStream, concatBytes(block(3), body.subarray(0, 1000)));
    abort.abort();
    await expect(first).rejects.toThrow(failing('CANCELLED'));
    const before = new Uint8Array(given);
    firstStream.end(body.subarray(1000));
    await finished(firstStream);
    expectUntouched(firstStream);
    secondStream.end(body.subarray(1000));
    expect((await second).received).toBe(CHUNK);
    expect(bytesEqual(into, body)).toBe(true);
    // Its buffer belongs to the caller from the abort on.
    expect(bytesEqual(given, before)).toBe(true);
    await channel.closed;
  });

  it('ends the session when the other has ended before', async () => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server);
    const abort = new AbortController();
    const first = channel.exchange({}, { signal: abort.signal });
    await nextStream();
    const second = channel.exchange({});
    (await nextStream()).end(block(1));
    await second;
    abort.abort();
    await expect(first).rejects.toThrow(failing('CANCELLED'));
    await channel.closed;
  });
});

describe('the end of a connection', () => {
  it.each(['before the response', 'in the middle of the response'])('%s is CONNECTION_LOST', async (when) => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server);
    const watch = bodyWatch();
    const received = deferred();
    const into = new Uint8Array(CHUNK);
    const replies = [
      channel.exchange(
        { block: block(1), into },
        {
          onReceived: () => {
            received.resolve();
          },
        },
      ),
      channel.exchange({ block: block(1), body: pattern(1000), onBodyReleased: watch.onBodyReleased }),
    ];
    const outcomes = Promise.all(
      replies.map((reply) => expect(reply).rejects.toThrow(failing('CONNECTION_LOST'))),
    );
    const stream = await nextStream();
    if (when !== 'before the response') {
      stream.write(concatBytes(block(2), pattern(100)));
      await received.promise;
    }
    for (const { socket } of server.connections) socket.destroy();
    await outcomes;
    await channel.closed;
    expect(watch.times()).toBe(1);
    expect(channel.usable).toBe(false);
    expect(channel.active).toBe(0);
  });

  it('with an orderly TLS close in the middle of the response is CONNECTION_LOST', async () => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server);
    const received = deferred();
    const reply = channel.exchange(
      { block: block(1), into: new Uint8Array(CHUNK) },
      {
        onReceived: () => {
          received.resolve();
        },
      },
    );
    const outcome = expect(reply).rejects.toThrow(failing('CONNECTION_LOST'));
    (await nextStream()).write(concatBytes(block(2), pattern(100)));
    await received.promise;
    for (const { socket } of server.connections) socket.end();
    await outcome;
  });

  it('with a reset of the stream in the middle of the response is CONNECTION_LOST', async () => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server);
    const received = deferred();
    const reply = channel.exchange(
      { block: block(1), into: new Uint8Array(CHUNK) },
      {
        onReceived: () => {
          received.resolve();
        },
      },
    );
    const outcome = expect(reply).rejects.toThrow(failing('CONNECTION_LOST'));
    const stream = await nextStream();
    stream.write(concatBytes(block(2), pattern(100)));
    await received.promise;
    stream.destroy(new Error('The disk is broken.'));
    await outcome;
  });

  it('before its first packet is no crash', async () => {
    const { server } = await manualServer();
    const { host, port } = server;
    const socket = await openTlsConnection({ host, port }, { connectMs: PATIENT_MS });
    const channel = new Channel(socket, { authority: host, place: host, stallMs: PATIENT_MS });
    const crash = vi.fn();
    process.once('uncaughtException', crash);
    channel.destroy();
    await channel.closed;
    await server.allClosed();
    process.off('uncaughtException', crash);
    expect(crash).not.toHaveBeenCalled();
  });

  it('is announced by GOAWAY: no new requests, but the one under way ends well', async () => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server);
    const reply = channel.exchange({ block: block(1) });
    const stream = await nextStream();
    for (const { session } of server.connections) session.goaway();
    await vi.waitFor(() => {
      expect(channel.usable).toBe(false);
    });
    await expect(channel.exchange({})).rejects.toThrow(failing('CONNECTION_LOST'));
    stream.end(block(2));
    expect((await reply).block).toStrictEqual(block(2));
    await channel.closed;
  });

  it('comes when it is retired and its last request is done', async () => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server);
    const reply = channel.exchange({});
    channel.retire();
    expect(channel.active).toBe(1);
    const watch = bodyWatch();
    await expect(channel.exchange({ block: block(1), onBodyReleased: watch.onBodyReleased })).rejects.toThrow(
      failing('CONNECTION_LOST'),
    );
    expect(watch.times()).toBe(1);
    (await nextStream()).end(block(2));
    expect((await reply).block).toStrictEqual(block(2));
    await channel.closed;
  });

  it('comes at once when it is retired without requests', async () => {
    const { server } = await manualServer();
    const channel = await openChannel(server);
    channel.retire();
    await channel.closed;
  });
});

describe('a connection that is abandoned after a failed upload', () => {
  it('ends when the relay sends nothing more, and not before a download on it is whole', async () => {
    const { server, nextStream } = await manualServer();
    const socket = await openTlsConnection(server, { connectMs: PATIENT_MS });
    const { host } = server;
    const channel = new Channel(socket, {
      authority: host,
      place: host,
      stallMs: PATIENT_MS,
      abandonedMs: SHORT_STALL_MS,
    });
    const lost = expect(channel.exchange({ block: block(1) })).rejects.toThrow(failing('CONNECTION_LOST'));
    await nextStream();
    const into = new Uint8Array(12);
    const download = channel.exchange({ block: block(1), into });
    const stream = await nextStream();
    stream.write(block(2));
    channel.abandon();
    expect(channel.usable).toBe(false);
    for (const byte of pattern(into.length)) {
      await delay(SHORT_STALL_MS / 5);
      stream.write(Uint8Array.of(byte));
    }
    stream.end();
    expect((await download).received).toBe(into.length);
    await lost;
    await channel.closed;
  });

  it('ends at once when it is not used', async () => {
    const { server } = await manualServer();
    const channel = await openChannel(server);
    channel.abandon();
    await channel.closed;
  });
});

describe('a connection that is reset while Node does not read', () => {
  it('is noticed long before the stall limit', async () => {
    const { server, nextStream } = await manualServer();
    const proxy = await startFaultProxy(server.port);
    const { host } = server;
    const socket = await openTlsConnection({ host, port: proxy.port }, { connectMs: PATIENT_MS });
    const channel = new Channel(socket, { authority: host, place: host, stallMs: PATIENT_MS });
    const watch = bodyWatch();
    const body = new Uint8Array(CHUNK);
    const reply = channel.exchange({ block: block(1), body, onBodyReleased: watch.onBodyReleased });
    const outcome = expect(reply).rejects.toThrow(failing('CONNECTION_LOST'));
    await readBody(await nextStream());
    // As Node leaves it after a write that failed at once.
    (socket as unknown as { _handle: { readStop: () => void } })._handle.readStop();
    const start = performance.now();
    proxy.cutAll();
    await outcome;
    expect(performance.now() - start).toBeLessThan(PATIENT_MS / 2);
    await watch.released;
    await channel.closed;
  });
});

describe('a connection that is ended within an event of HTTP/2', () => {
  it('is ended after it, since Node would corrupt its memory', async () => {
    const { server, nextStream } = await manualServer();
    const socket = await openTlsConnection(server, { connectMs: PATIENT_MS });
    const channel = new Channel(socket, { authority: server.host, place: server.host, stallMs: PATIENT_MS });
    let within: boolean | undefined;
    const end = (): void => {
      channel.destroy();
      within = socket.destroyed;
    };
    const into = new Uint8Array(CHUNK);
    const reply = channel.exchange({ block: block(1), into }, { onReceived: end });
    const outcome = expect(reply).rejects.toThrow(failing('CONNECTION_LOST'));
    (await nextStream()).write(concatBytes(block(2), pattern(CHUNK / 2)));
    await outcome;
    await channel.closed;
    expect({ within, after: socket.destroyed }).toEqual({ within: false, after: true });
    await expect(channel.exchange({})).rejects.toThrow(failing('CONNECTION_LOST'));
  });
});
