import type { ClientHttp2Stream } from 'node:http2';

import { expect, it } from 'vitest';

import { generateKeyPair } from '#src/crypto/index.js';

import { measuredRelay } from '../support/measured-relay.js';
import { asSender, type RawChunk, type RawClient } from '../support/raw-client.js';
import { chunkBytes } from '../support/test-relay.js';

const KIB = 1024;

/** Sends bytes one in a frame and a packet, so that the relay reads each into a buffer of its own. */
async function drip(streams: readonly ClientHttp2Stream[], bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length; offset++)
    for (const stream of streams)
      await new Promise<void>((resolve) => {
        stream.write(bytes.subarray(offset, offset + 1), () => {
          setImmediate(resolve);
        });
      });
}

/** Resolves when the relay has dealt with what was sent on the connection before. */
async function settled(client: RawClient): Promise<void> {
  for (let round = 0; round < 3; round++)
    expect((await client.command({ type: 'PING' })).response.type).toBe('PONG');
}

it('a block that comes byte by byte costs the memory of a block', async () => {
  const relay = await measuredRelay();
  const client = await relay.client();
  await settled(client);
  const before = await relay.holdings();
  const streams = Array.from({ length: 5 }, () => client.start());
  await drip(streams, new Uint8Array(1000));
  await settled(client);
  const { memory } = await relay.holdings();
  expect((memory - before.memory) / streams.length).toBeLessThan(64 * KIB);
});

it('a body that comes byte by byte costs no more than one that comes at once', async () => {
  const relay = await measuredRelay();
  const client = await relay.client();
  const chunks: RawChunk[] = [];
  for (let index = 0; index < 5; index++) chunks.push(await client.create(chunkBytes()));
  await settled(client);
  const before = await relay.holdings();
  const streams = chunks.map((chunk) => {
    const stream = client.start();
    stream.write(client.block({ type: 'FPUT' }, asSender(chunk)));
    return stream;
  });
  await settled(client);
  // A little less than what the relay writes to the disk at once.
  await drip(streams, new Uint8Array(500));
  await settled(client);
  const { memory } = await relay.holdings();
  expect((memory - before.memory) / streams.length).toBeLessThan(512 * KIB);
});

/** Commands under way at once: they share flushes of the log. */
const AT_ONCE = 50;
const COMMANDS = 1000;

it('a stored record keeps its keys in memory, not the block that they came in', async () => {
  const relay = await measuredRelay();
  const client = await relay.client();
  const chunk = await client.create(chunkBytes());
  const recipientKeys = [generateKeyPair('ed25519').publicKey];
  const addRecipient = async (): Promise<void> => {
    const { response } = await client.command({ type: 'FADD', recipientKeys }, asSender(chunk));
    expect(response.type).toBe('RIDS');
  };
  const costOf = async (command: () => Promise<unknown>): Promise<number> => {
    const before = await relay.holdings();
    for (let done = 0; done < COMMANDS; done += AT_ONCE)
      await Promise.all(Array.from({ length: AT_ONCE }, command));
    return ((await relay.holdings()).memory - before.memory) / COMMANDS;
  };
  const bytes = chunkBytes();
  await costOf(() => client.create(bytes)); // Tables and code that are there only once.
  expect(await costOf(() => client.create(bytes))).toBeLessThan(6 * KIB);
  expect(await costOf(addRecipient)).toBeLessThan(4 * KIB);
});
