import type { ServerHttp2Stream } from 'node:http2';

import { expect, onTestFinished } from 'vitest';

import { BLOCK_SIZE } from '#src/protocol/index.js';
import { Channel } from '#src/transport/channel.js';
import { openTlsConnection } from '#src/transport/tls-connection.js';
import { type LoopbackServer, startHttp2Server } from '../support/http2-server.js';

/** Long enough for any step on loopback. */
export const PATIENT_MS = 30_000;

/** A channel to the server, which ends with the running test. */
export async function openChannel(
  { host, port }: LoopbackServer,
  stallMs: number = PATIENT_MS,
): Promise<Channel> {
  const socket = await openTlsConnection({ host, port }, { connectMs: PATIENT_MS });
  const channel = new Channel(socket, { authority: host, place: `${host}:${String(port)}`, stallMs });
  onTestFinished(async () => {
    channel.destroy();
    await channel.closed;
  });
  return channel;
}

/** Short, since the test waits for it to pass. */
export const SHORT_STALL_MS = 150;

/** Bytes that tell their own place. */
export function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8) * 7 + seed) & 0xff);
}

/** A block of one byte over and over. */
export function block(byte: number): Uint8Array {
  return new Uint8Array(BLOCK_SIZE).fill(byte);
}

/** A promise and what settles it. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

/** A promise that the test settles. */
export function deferred<T = void>(): Deferred<T> {
  let resolve: Deferred<T>['resolve'] = () => undefined;
  let reject: Deferred<T>['reject'] = () => undefined;
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  return { promise, resolve, reject };
}

/** A server that leaves its streams to the test, in the order of the requests. */
export async function manualServer(): Promise<{
  server: LoopbackServer;
  nextStream: () => Promise<ServerHttp2Stream>;
}> {
  const arrived: ServerHttp2Stream[] = [];
  const wanted: ((stream: ServerHttp2Stream) => void)[] = [];
  const server = await startHttp2Server({
    onStream: (stream) => {
      const want = wanted.shift();
      if (want === undefined) arrived.push(stream);
      else want(stream);
    },
  });
  const nextStream = (): Promise<ServerHttp2Stream> => {
    const stream = arrived.shift();
    return stream === undefined ? new Promise((resolve) => wanted.push(resolve)) : Promise.resolve(stream);
  };
  return { server, nextStream };
}

export async function writeAll(stream: ServerHttp2Stream, bytes: Uint8Array): Promise<void> {
  await new Promise<void>((resolve) =>
    stream.write(bytes, () => {
      resolve();
    }),
  );
}

/** The server sees no reset and no abort of the stream. */
export function expectUntouched(stream: ServerHttp2Stream): void {
  expect({ aborted: stream.aborted, code: stream.rstCode }).toStrictEqual({ aborted: false, code: 0 });
}

/** Watches over a body that must be released exactly once. */
export function bodyWatch(): {
  readonly onBodyReleased: () => void;
  readonly released: Promise<void>;
  readonly times: () => number;
} {
  const { promise: released, resolve } = deferred();
  let times = 0;
  const onBodyReleased = (): void => {
    times += 1;
    resolve();
  };
  return { onBodyReleased, released, times: () => times };
}
