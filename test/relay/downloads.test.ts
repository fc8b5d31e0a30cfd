import { once } from 'node:events';
import type { ClientHttp2Stream } from 'node:http2';
import { readdir, readlink } from 'node:fs/promises';

import { describe, expect, it, onTestFinished } from 'vitest';

import { generateKeyPair } from '#src/crypto/index.js';
import { DownloadSlots } from '#src/relay/download-slots.js';

import { measuredRelay } from '../support/measured-relay.js';
import { asRecipient, RawClient, type RawChunk } from '../support/raw-client.js';
import { chunkBytes, type TestRelay, testRelay } from '../support/test-relay.js';

const CHUNK = 1024 * 1024;
/** Downloads on one connection, as many as it may ask for and some room for other commands. */
const DOWNLOADS = 90;
/** A window that lets only a part of a chunk through until the stream is read, in bytes. */
const NARROW = 65535;

/** Asks for a chunk, and takes nothing of the answer until the stream is read. */
function askFor(client: RawClient, chunk: RawChunk): ClientHttp2Stream {
  const stream = client.start();
  stream.end(client.block({ type: 'FGET', key: generateKeyPair('x25519').publicKey }, asRecipient(chunk)));
  return stream;
}

/** Reads all that is left of a stream, and gives its length. */
async function lengthOf(stream: ClientHttp2Stream): Promise<number> {
  let length = 0;
  for await (const piece of stream) length += (piece as Buffer).length; // a stream without encoding
  return length;
}

/** A connection whose downloads stand still until their streams are read. */
async function narrowClient(relay: TestRelay): Promise<RawClient> {
  const { port, fingerprint } = relay;
  const client = await RawClient.open({ port, fingerprint, window: NARROW });
  onTestFinished(() => client.close());
  return client;
}

async function storedChunk(relay: { readonly client: () => Promise<RawClient> }): Promise<RawChunk> {
  const client = await relay.client();
  const chunk = await client.create(chunkBytes(CHUNK));
  expect(await client.put(chunk)).toBe('OK');
  return chunk;
}

/** How many chunk files of the relay, which runs in this process, are open. */
async function openBodies(relay: TestRelay): Promise<number> {
  const names = await readdir('/proc/self/fd');
  const paths = await Promise.all(names.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => '')));
  return paths.filter((path) => path.startsWith(relay.filesPath)).length;
}

async function expectOpenBodies(relay: TestRelay, count: number): Promise<void> {
  await expect.poll(() => openBodies(relay), { timeout: 20_000 }).toBe(count);
}

/** Resolves when the relay has dealt with all requests of the connection that were sent before. */
async function settled(client: RawClient): Promise<void> {
  for (let round = 0; round < 3; round++)
    expect((await client.command({ type: 'PING' })).response.type).toBe('PONG');
}

describe('downloads beyond the bound', () => {
  it('of a connection wait for the earlier ones, with no file open, and all succeed', async () => {
    const relay = await testRelay({ limits: { downloadsPerConnection: 2 } });
    const chunk = await storedChunk(relay);
    const client = await narrowClient(relay);
    const streams = Array.from({ length: 10 }, () => askFor(client, chunk));
    await settled(client);
    await expectOpenBodies(relay, 2);
    const others = await relay.client();
    expect(await others.get(chunk)).toBeInstanceOf(Buffer);
    for (const length of await Promise.all(streams.map(lengthOf))) expect(length).toBe(16384 + CHUNK + 16);
    await expectOpenBodies(relay, 0);
    expect(relay.problems).toEqual([]);
  });

  it('of the relay wait until those who take nothing are dropped', async () => {
    // A stalled download alone might stay for an hour.
    const limits = { downloads: 4, crowdedStallMs: 300, downloadStallMs: 3_600_000 };
    const relay = await testRelay({ limits });
    const chunk = await storedChunk(relay);
    const client = await narrowClient(relay);
    for (let download = 0; download < 4; download++) askFor(client, chunk);
    await expectOpenBodies(relay, 4);
    const dropped = new Promise((resolve) => client.socket.once('close', resolve));
    const others = await Promise.all(Array.from({ length: 3 }, () => relay.client()));
    const waiting = others.map((other) => other.get(chunk));
    for (const bytes of await Promise.all(waiting)) expect(bytes).toBeInstanceOf(Buffer);
    await dropped;
    await expectOpenBodies(relay, 0);
    expect(relay.problems).toEqual([]);
  });

  it('leave the line with their connection', async () => {
    const relay = await testRelay({ limits: { downloads: 1 } });
    const chunk = await storedChunk(relay);
    const [first, leaving, last] = [await narrowClient(relay), await relay.client(), await relay.client()];
    const stream = askFor(first, chunk);
    await expectOpenBodies(relay, 1);
    for (let download = 0; download < 5; download++) askFor(leaving, chunk);
    await settled(leaving);
    const waiting = last.get(chunk);
    await settled(last);
    await leaving.close();
    await lengthOf(stream);
    expect(await waiting).toBeInstanceOf(Buffer);
  });

  it('are refused like others when their chunk is deleted before their turn', async () => {
    const relay = await testRelay({ limits: { downloads: 1 } });
    const [held, chunk] = [await storedChunk(relay), await storedChunk(relay)];
    const [first, second] = [await narrowClient(relay), await relay.client()];
    const stream = askFor(first, held);
    await expectOpenBodies(relay, 1);
    const waiting = second.get(chunk);
    await settled(second);
    const sender = { entityId: chunk.senderId, key: chunk.senderKey };
    expect((await second.command({ type: 'FDEL' }, sender)).response.type).toBe('OK');
    await lengthOf(stream);
    expect(await waiting).toBe('AUTH');
    expect(await second.get(held)).toBeInstanceOf(Buffer);
  });

  it('cost little memory and no file while they wait', async () => {
    const relay = await measuredRelay({ limits: { downloads: 1, crowdedStallMs: 120_000 } });
    const chunk = await storedChunk(relay);
    const clients = await Promise.all(Array.from({ length: 5 }, () => relay.client()));
    const holder = await relay.client({ window: NARROW });
    const held = askFor(holder, chunk);
    await once(held, 'readable');
    for (const client of clients) await settled(client);
    const before = await relay.holdings();
    for (const client of clients) {
      for (let download = 0; download < DOWNLOADS; download++) askFor(client, chunk);
      await settled(client);
    }
    const after = await relay.holdings();
    // Some 7 KiB, most of it for the HTTP/2 stream; the block alone that each came in has 16 KiB.
    expect((after.memory - before.memory) / (clients.length * DOWNLOADS)).toBeLessThan(12 * 1024);
    expect(after.files).toBe(before.files);
  });
});

describe('the slots of downloads', () => {
  it('go to connections in turn, and to each in the order it asked', async () => {
    const slots = new DownloadSlots(1, 1);
    const begun: string[] = [];
    const ask = (connection: object, name: string, signal = new AbortController().signal): Promise<void> =>
      slots.take(connection, { signal }).then((free) => {
        begun.push(free === undefined ? `${name} left` : name);
        free?.();
        free?.(); // Counts once.
      });
    const [many, few] = [{}, {}];
    const abort = new AbortController();
    const free = await slots.take({}, { signal: abort.signal });
    const asked = [
      ask(many, 'many 1'),
      ask(many, 'many 2'),
      ask(many, 'never', abort.signal),
      ask(many, 'many 3'),
      ask(few, 'few 1'),
      ask(few, 'few 2'),
    ];
    expect(slots.crowded).toBe(true);
    abort.abort();
    free?.();
    await Promise.all(asked);
    expect(begun).toEqual(['never left', 'many 1', 'few 1', 'many 2', 'few 2', 'many 3']);
    expect(slots.crowded).toBe(false);
    expect(await slots.take(many, { signal: abort.signal })).toBeUndefined();
  });

  it('of one connection are bounded although the relay has more', async () => {
    const slots = new DownloadSlots(10, 2);
    const { signal } = new AbortController();
    const [one, other] = [{}, {}];
    const frees = [await slots.take(one, { signal }), await slots.take(one, { signal })];
    let third = false;
    const waiting = slots.take(one, { signal }).then(() => (third = true));
    expect(await slots.take(other, { signal })).toBeDefined();
    expect([third, slots.crowded]).toEqual([false, false]);
    frees[0]?.();
    await waiting;
  });
});
