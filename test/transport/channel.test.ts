import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { BLOCK_SIZE, bytesEqual, concatBytes } from '#src/protocol/index.js';
import type { Channel } from '#src/transport/channel.js';
import { failing } from '../crypto/expected-failure.js';
import { readBody, startHttp2Server } from '../support/http2-server.js';
import {
  block,
  bodyWatch,
  deferred,
  expectUntouched,
  manualServer,
  openChannel,
  pattern,
  SHORT_STALL_MS,
  writeAll,
} from './channel-samples.js';

const CHUNK = 256 * 1024;
/** More than the windows of the server take, so that it cannot all be sent. */
const LARGE = new Uint8Array(12 * 1024 * 1024).fill(5);

describe('a response', () => {
  it('is put together from pieces of any size', async () => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server);
    const body = pattern(5000);
    const whole = concatBytes(block(7), body);
    const cuts = fc.uniqueArray(
      fc.oneof(fc.constantFrom(1, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1), fc.nat(whole.length)),
      { maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(cuts, async (places) => {
        const into = new Uint8Array(body.length);
        const received: number[] = [];
        const onReceived = (count: number): void => void received.push(count);
        const reply = channel.exchange({ block: block(1), into }, { onReceived });
        const stream = await nextStream();
        await readBody(stream);
        const ends = [...places, whole.length].sort((a, b) => a - b);
        for (const [index, end] of ends.entries())
          if (end > 0) await writeAll(stream, whole.subarray(ends[index - 1] ?? 0, end));
        stream.end();
        const { block: answer, received: count } = await reply;
        expect(bytesEqual(answer, block(7)) && bytesEqual(into, body)).toBe(true);
        expect([count, received.at(-1)]).toStrictEqual([body.length, body.length]);
        expect([...received].sort((a, b) => a - b)).toStrictEqual(received);
      }),
      { numRuns: 25 },
    );
  });

  it('may be shorter than a block, or empty', async () => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server);
    for (const length of [0, 1, 100, BLOCK_SIZE - 1]) {
      const reply = channel.exchange({});
      const stream = await nextStream();
      stream.end(pattern(length));
      expect(await reply).toStrictEqual({ block: pattern(length), received: 0 });
    }
    expect(channel.usable).toBe(true);
  });

  it('may leave room in the buffer', async () => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server);
    const into = new Uint8Array(100);
    const reply = channel.exchange({ block: block(1), into });
    (await nextStream()).end(concatBytes(block(2), pattern(99)));
    expect((await reply).received).toBe(99);
    expect(into[99]).toBe(0);
  });

  it.each([
    ['more bytes than the buffer has', 1000],
    ['bytes behind the block when nothing was asked for', undefined],
  ])('with %s fails and ends the session', async (_, length) => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server);
    const into = length === undefined ? undefined : new Uint8Array(length);
    const reply = channel.exchange({ block: block(1), ...(into === undefined ? {} : { into }) });
    const code = length === undefined ? 'RELAY_PROTOCOL' : 'CHUNK_SIZE';
    const outcome = expect(reply).rejects.toThrow(failing(code));
    const stream = await nextStream();
    stream.on('error', () => undefined);
    stream.write(concatBytes(block(2), pattern((length ?? 0) + 1)));
    await outcome;
    await channel.closed;
    expect(channel.usable).toBe(false);
    await server.allClosed();
  });
});

describe('an upload', () => {
  it('sends block and body, tells how far it is, and releases the body', async () => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server);
    const sent: number[] = [];
    const watch = bodyWatch();
    const body = pattern(CHUNK);
    const reply = channel.exchange(
      { block: block(3), body, onBodyReleased: watch.onBodyReleased },
      { onSent: (n) => sent.push(n) },
    );
    const stream = await nextStream();
    const request = await readBody(stream);
    expect(bytesEqual(request, concatBytes(block(3), body))).toBe(true);
    expect(watch.times()).toBe(0);
    stream.end(block(4));
    expect((await reply).block).toStrictEqual(block(4));
    await watch.released;
    expect(watch.times()).toBe(1);
    expect(sent.at(-1)).toBe(CHUNK);
    expect([...sent].sort((a, b) => a - b)).toStrictEqual(sent);
  });

  it('gets an answer that comes before its end, and ends its body without a reset', async () => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server);
    const watch = bodyWatch();
    const reply = channel.exchange({ block: block(3), body: LARGE, onBodyReleased: watch.onBodyReleased });
    const stream = await nextStream();
    stream.pause();
    stream.write(block(4));
    stream.end();
    expect((await reply).block).toStrictEqual(block(4));
    const { length } = await readBody(stream);
    expect(length).toBeLessThan(LARGE.length + BLOCK_SIZE);
    expectUntouched(stream);
    await watch.released;
    expect(watch.times()).toBe(1);
    expect(channel.usable).toBe(true);
    expect(channel.active).toBe(0);
  });

  it('does not count its last piece when that has not left before the connection ends', async () => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server);
    const sent: number[] = [];
    // As much as the server's window: with the block before it, the end of the last piece has no room.
    const body = LARGE.subarray(0, 8 * 1024 * 1024);
    const lastPieceIsNext = deferred();
    const onSent = (bytes: number): void => {
      sent.push(bytes);
      if (body.length - bytes <= CHUNK) lastPieceIsNext.resolve();
    };
    const reply = channel.exchange({ block: block(3), body }, { onSent });
    const outcome = expect(reply).rejects.toThrow(failing('CONNECTION_LOST'));
    (await nextStream()).pause();
    await lastPieceIsNext.promise;
    channel.destroy();
    await outcome;
    await server.allClosed();
    // Node tells the writer last of all.
    await sleep(50);
    expect(sent).not.toContain(body.length);
  });

  it('that the server takes no bytes of stalls, and its body is released with the session', async () => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server, SHORT_STALL_MS);
    const watch = bodyWatch();
    const reply = channel.exchange({ block: block(3), body: LARGE, onBodyReleased: watch.onBodyReleased });
    const outcome = expect(reply).rejects.toThrow(failing('STALLED'));
    (await nextStream()).pause();
    await outcome;
    await channel.closed;
    await watch.released;
    await channel.closed;
    expect(watch.times()).toBe(1);
  });

  it('never starts when its signal has aborted, and releases its body all the same', async () => {
    const { server } = await manualServer();
    const channel = await openChannel(server);
    const watch = bodyWatch();
    const reply = channel.exchange(
      { block: block(1), body: pattern(10), onBodyReleased: watch.onBodyReleased },
      { signal: AbortSignal.abort() },
    );
    await expect(reply).rejects.toThrow(failing('CANCELLED'));
    expect(watch.times()).toBe(1);
    expect(channel.usable).toBe(true);
  });

  it.each([
    [
      'aborted',
      'CANCELLED',
      (_: Channel, abort: AbortController) => {
        abort.abort();
      },
    ],
    [
      'ended with its channel',
      'CONNECTION_LOST',
      (channel: Channel) => {
        channel.destroy();
      },
    ],
  ] as const)('that is %s releases its body once', async (_, code, end) => {
    const { server, nextStream } = await manualServer();
    const channel = await openChannel(server);
    const abort = new AbortController();
    const watch = bodyWatch();
    const reply = channel.exchange(
      { block: block(1), body: LARGE, onBodyReleased: watch.onBodyReleased },
      { signal: abort.signal },
    );
    const outcome = expect(reply).rejects.toThrow(failing(code));
    (await nextStream()).pause();
    end(channel, abort);
    await outcome;
    await channel.closed;
    await watch.released;
    await channel.closed;
    expect(watch.times()).toBe(1);
  });
});

it('requests are POSTs to / with the host as authority and nothing more', async () => {
  const seen = deferred<Record<string, unknown>>();
  const server = await startHttp2Server({
    onStream: (stream, _, headers) => {
      seen.resolve(Object.fromEntries(Object.entries(headers)));
      stream.respond({ ':status': 200 }, { endStream: true });
    },
  });
  const channel = await openChannel(server);
  await channel.exchange({});
  expect(await seen.promise).toStrictEqual({
    ':method': 'POST',
    ':scheme': 'https',
    ':authority': server.host,
    ':path': '/',
  });
});

it('a session is idle when its requests are done, and its socket is closed with it', async () => {
  const { server, nextStream } = await manualServer();
  const channel = await openChannel(server);
  const replies = Array.from({ length: 20 }, () => channel.exchange({}));
  expect(channel.active).toBe(20);
  for (let index = 0; index < 20; index++) (await nextStream()).end(block(1));
  await Promise.all(replies);
  expect(channel.active).toBe(0);
  const [connection] = server.connections;
  const end = connection === undefined ? Promise.resolve([]) : once(connection.session, 'close');
  channel.destroy();
  await end;
});
