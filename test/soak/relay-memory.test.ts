import type { ClientHttp2Stream } from 'node:http2';

import { describe, expect, it } from 'vitest';

import { generateKeyPair } from '#src/crypto/index.js';

import { measuredRelay } from '../support/measured-relay.js';
import { asSender, type RawChunk, type RawClient } from '../support/raw-client.js';
import { chunkBytes } from '../support/test-relay.js';

const KIB = 1024;

/** Bytes that are sent one by one. */
const DRIPS = 200;
/** What comes with each of them, in bytes: as much as fits a record of TLS. */
const COMPANY = 16 * KIB;

/**
 * Sends a stream's bytes one in a frame, each in one network buffer with bytes of another stream, which the relay
 * throws away.
 */
async function drip(client: RawClient, stream: ClientHttp2Stream, stored: RawChunk): Promise<void> {
  const company = client.start();
  company.write(client.block({ type: 'FPUT' }, asSender(stored)));
  for (let sent = 0; sent < DRIPS; sent++) {
    stream.write(Uint8Array.of(sent));
    await new Promise<void>((resolve) => {
      company.write(new Uint8Array(COMPANY), () => {
        resolve();
      });
    });
  }
  await settled(client);
}

/** Resolves when the relay has dealt with what was sent on the connection before. */
async function settled(client: RawClient): Promise<void> {
  for (let round = 0; round < 3; round++)
    expect((await client.command({ type: 'PING' })).response.type).toBe('PONG');
}

describe('bytes that come one by one do not keep network buffers in memory', () => {
  it.each(['a block', 'a body'])('in %s', async (where) => {
    const relay = await measuredRelay();
    const client = await relay.client();
    const [stored, chunk] = [await client.create(chunkBytes(4194304)), await client.create(chunkBytes())];
    expect(await client.put(stored)).toBe('OK');
    await drip(client, client.start(), stored); // Code and buffers that are there only once.
    const stream = client.start();
    if (where === 'a body') stream.write(client.block({ type: 'FPUT' }, asSender(chunk)));
    await settled(client);
    const before = await relay.holdings();
    await drip(client, stream, stored);
    const { memory } = await relay.holdings();
    // Each byte with what came with it would be 3 MiB.
    expect(memory - before.memory).toBeLessThan(1024 * KIB);
  });
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
