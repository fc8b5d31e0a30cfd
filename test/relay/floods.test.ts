import { describe, expect, it } from 'vitest';

import { encodeCommand, encodeTransmission } from '#src/protocol/index.js';
import { generateKeyPair, sha256, sign } from '#src/crypto/index.js';

import {
  END_HEADERS,
  END_STREAM,
  flood,
  FRAME,
  frame,
  openHttp2,
  POST_HEADERS,
} from '../support/http2-frames.js';
import { type MeasuredRelay, measuredRelay } from '../support/measured-relay.js';
import { chunkBytes, testRelay } from '../support/test-relay.js';

const MIB = 1024 ** 2;
/** Frames that are written at once. */
const AT_ONCE = 200;

const many = (make: (index: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: AT_ONCE }, (_, index) => make(index)));

/** The number of the stream that a client opens as its n-th, counted from 0. */
const streamOf = (index: number): number => 2 * index + 1;

/** Ways to keep a relay busy without a request, each with what it sends in a round. */
const FLOODS: readonly (readonly [string, (round: number) => Buffer])[] = [
  ['SETTINGS', () => many(() => frame(FRAME.settings, 0, 0))],
  [
    'SETTINGS that change something',
    () => many((index) => frame(FRAME.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0xff, index & 0xff]))),
  ],
  ['PING', () => many(() => frame(FRAME.ping, 0, 0, Buffer.alloc(8)))],
  [
    'streams that are reset at once',
    (round) =>
      many((index) => {
        const stream = streamOf(round * AT_ONCE + index);
        return Buffer.concat([
          frame(FRAME.headers, END_HEADERS, stream, POST_HEADERS),
          frame(FRAME.reset, 0, stream, Buffer.from([0, 0, 0, 8])),
        ]);
      }),
  ],
  [
    'headers without end',
    (round) =>
      round === 0
        ? frame(FRAME.headers, 0, 1, POST_HEADERS)
        : many(() => frame(FRAME.continuation, 0, 1, Buffer.from([0x00, 0x01, 0x78, 0x01, 0x79]))),
  ],
  [
    'empty CONTINUATION frames',
    (round) =>
      round === 0 ? frame(FRAME.headers, 0, 1, POST_HEADERS) : many(() => frame(FRAME.continuation, 0, 1)),
  ],
  [
    'empty DATA frames',
    (round) =>
      round === 0 ? frame(FRAME.headers, END_HEADERS, 1, POST_HEADERS) : many(() => frame(FRAME.data, 0, 1)),
  ],
];

/** A command that is answered when its line is on the disk. */
function registration(sessionId: Uint8Array): Uint8Array {
  const [sender, recipient] = [generateKeyPair('ed25519'), generateKeyPair('ed25519')];
  const empty = new Uint8Array();
  const command = encodeCommand({
    type: 'FNEW',
    senderKey: sender.publicKey,
    size: 65536,
    digest: sha256(empty),
    recipientKeys: [recipient.publicKey],
  });
  return encodeTransmission({ sessionId, correlationId: empty, entityId: empty, command }, (authorized) =>
    sign(sender.privateKey, authorized),
  );
}

async function expectHealthy(relay: MeasuredRelay): Promise<void> {
  const client = await relay.client();
  const chunk = await client.create(chunkBytes());
  expect(await client.put(chunk)).toBe('OK');
  expect(await client.get(chunk)).toBeInstanceOf(Buffer);
  await client.close();
}

describe('the relay ends a connection that floods it with', () => {
  it.each(FLOODS)('%s, and keeps nothing of it', async (_what, next) => {
    const relay = await measuredRelay();
    await expectHealthy(relay); // Code and buffers that are there only once.
    const before = await relay.holdings();
    for (let time = 0; time < 3; time++)
      expect(await flood(await openHttp2(relay.port), next)).toBeLessThan(32 * MIB);
    await expect.poll(async () => (await relay.holdings()).files).toBeLessThanOrEqual(before.files);
    expect((await relay.holdings()).memory - before.memory).toBeLessThan(4 * MIB);
    await expectHealthy(relay);
  });
});

it('a client that pings and sets now and then, and gives up uploads, is no flood', async () => {
  const relay = await measuredRelay();
  const client = await relay.client();
  for (let round = 0; round < 50; round++) {
    client.start().close(8);
    client.http2.settings({ initialWindowSize: 65535 + round });
    await new Promise((resolve) => client.http2.ping(resolve));
  }
  expect((await client.command({ type: 'PING' })).response.type).toBe('PONG');
});

it('a request that is reset without an error harms no other one, and leaves nothing behind, however many come', async () => {
  const relay = await testRelay();
  // Without ALPN there is no handshake: each request is a command.
  const socket = await openHttp2(relay.port, { alpn: [] });
  const sessionId = Uint8Array.from(socket.getFinished() ?? []);
  const answered = new Set<number>();
  let received = Buffer.alloc(0);
  socket.on('data', (bytes: Buffer) => {
    received = Buffer.concat([received, bytes]);
    while (received.length >= 9 && received.length >= 9 + received.readUIntBE(0, 3)) {
      if (received.readUInt8(3) === FRAME.headers) answered.add(received.readUInt32BE(5));
      received = received.subarray(9 + received.readUIntBE(0, 3));
    }
  });
  for (let index = 0; index < 150; index++) {
    const [stream, next] = [streamOf(2 * index), streamOf(2 * index + 1)];
    socket.write(
      Buffer.concat([
        frame(FRAME.headers, END_HEADERS, stream, POST_HEADERS),
        // A command that takes a while, and more behind it, which nobody reads.
        frame(FRAME.data, 0, stream, registration(sessionId)),
        ...Array.from({ length: 3 }, () => frame(FRAME.data, 0, stream, Buffer.alloc(16_000))),
        frame(FRAME.reset, 0, stream, Buffer.alloc(4)),
        frame(FRAME.headers, END_HEADERS | END_STREAM, next, POST_HEADERS),
      ]),
    );
    await expect.poll(() => answered.has(next), { interval: 2 }).toBe(true);
    expect(socket.destroyed).toBe(false);
  }
  expect(relay.problems).toEqual([]);
});

it('a header of many MiB takes no memory, and its connection ends with the deadline of the handshake', async () => {
  const relay = await measuredRelay({ limits: { protocolHandshakeMs: 2000 } });
  await expectHealthy(relay); // Code and buffers that are there only once.
  const before = await relay.holdings();
  const socket = await openHttp2(relay.port);
  // A name of one byte, and a value of 32 MiB.
  const beginning = Buffer.from([0x00, 0x01, 0x78, 0x7f, 0xff, 0xff, 0xff, 0x0f]);
  socket.write(frame(FRAME.headers, 0, 1, beginning));
  for (let part = 0; part < 1000; part++)
    socket.write(frame(FRAME.continuation, 0, 1, Buffer.alloc(16384, 0x61)));
  await expect
    .poll(async () => (await relay.holdings()).files, { timeout: 30_000 })
    .toBeLessThanOrEqual(before.files);
  expect((await relay.holdings()).memory - before.memory).toBeLessThan(4 * MIB);
  await expectHealthy(relay);
});
