import { appendFile } from 'node:fs/promises';

import { expect, it } from 'vitest';

import { encodeBase64Url } from '#src/protocol/index.js';
import { generateKeyPair } from '#src/crypto/index.js';

import { asRecipient, asSender, errorText, type RawChunk, type RawClient } from '../support/raw-client.js';
import { chunkBytes, testRelay } from '../support/test-relay.js';

/** Most recipients of one chunk. */
const MOST = 10_000;
/** Most keys in one command. */
const GROUP = 255;

const KEYS = Array.from({ length: GROUP }, () => generateKeyPair('ed25519').publicKey);

/** FADD with so many keys: the name of the response, or the error's text. */
async function add(client: RawClient, chunk: RawChunk, count: number): Promise<string> {
  const recipientKeys = KEYS.slice(0, count);
  return errorText((await client.command({ type: 'FADD', recipientKeys }, asSender(chunk))).response);
}

it('a chunk with thousands of recipients survives restarts, each with a compaction', async () => {
  const relay = await testRelay();
  const client = await relay.client();
  const chunk = await client.create(chunkBytes(), { recipients: GROUP });
  await client.put(chunk);
  for (let group = 0; group < 12; group++) expect(await add(client, chunk, GROUP)).toBe('RIDS');
  const again = await (await relay.restart()).restart();
  expect(again.problems).toEqual([]);
  expect(await (await again.client()).get(chunk)).toEqual(chunk.bytes);
});

it('a chunk takes 10,000 recipients and not one more, until one is acknowledged', async () => {
  const relay = await testRelay();
  const client = await relay.client();
  const chunk = await client.create(chunkBytes(), { recipients: GROUP });
  const other = await client.create(chunkBytes());
  // All at once, since two that meet must not pass the bound together.
  const groups = Array.from({ length: 50 }, () => add(client, chunk, GROUP));
  const results = await Promise.all(groups);
  const added = Math.floor(MOST / GROUP) - 1;
  expect(results.filter((result) => result === 'RIDS').length).toBe(added);
  expect(results.filter((result) => result === 'QUOTA').length).toBe(50 - added);
  const room = MOST - (added + 1) * GROUP;
  expect(await add(client, chunk, room + 1)).toBe('QUOTA');
  expect(await add(client, chunk, room)).toBe('RIDS');
  expect(await add(client, chunk, 1)).toBe('QUOTA');
  expect(await add(client, other, 1)).toBe('RIDS');
  expect((await client.command({ type: 'FACK' }, asRecipient(chunk))).response.type).toBe('OK');
  expect(await add(client, chunk, 1)).toBe('RIDS');
});

it('a log of the reference with more recipients is taken as it is', async () => {
  const relay = await testRelay();
  const client = await relay.client();
  const chunk = await client.create(chunkBytes());
  await client.put(chunk);
  await relay.stop();
  const key = encodeBase64Url(KEYS[0]!);
  const recipients = Array.from({ length: MOST + 1 }, () => `${encodeBase64Url(chunkBytes(16))}:${key}`);
  const line = `FADD ${encodeBase64Url(chunk.senderId)} ${recipients.join(',')}\n`;
  await appendFile(relay.storeLogPath, line);
  const again = await (await relay.restart()).restart();
  expect(again.problems).toEqual([]);
  const reader = await again.client();
  expect(await reader.get(chunk)).toEqual(chunk.bytes);
  expect(await add(reader, chunk, 1)).toBe('QUOTA');
});
