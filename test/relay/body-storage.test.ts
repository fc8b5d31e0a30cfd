import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, it, onTestFinished } from 'vitest';

import { encodeBase64Url } from '#src/protocol/index.js';
import { openFileStorage } from '#src/relay/file-storage.js';
import { FlushSchedule } from '#src/relay/flush-schedule.js';

import { MemoryStorage } from '../support/memory-storage.js';
import { asRecipient, asSender, errorText, type RawChunk, type RawClient } from '../support/raw-client.js';
import { makePipe } from '../support/pipe.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { chunkBytes, testRelay } from '../support/test-relay.js';
import { describeBodyStorage } from './body-storage-contract.js';

for (const policy of ['always', 'everysec'] as const)
  describeBodyStorage(`files that are flushed ${policy}`, async () => {
    const folder = join(await temporaryFolder(), 'files');
    const failures: unknown[] = [];
    const flushes = new FlushSchedule(policy, (error) => failures.push(error));
    onTestFinished(async () => {
      await flushes.settled();
      expect(failures).toEqual([]);
    });
    const open = (): ReturnType<typeof openFileStorage> => openFileStorage(folder, flushes);
    return { storage: await open(), again: open };
  });

describeBodyStorage('memory', () => {
  const storage = new MemoryStorage();
  return Promise.resolve({ storage, again: () => Promise.resolve(storage) });
});

it('files tell the name of a body that another folder had', async () => {
  const storage = await openFileStorage(
    join(await temporaryFolder(), 'files'),
    new FlushSchedule('never', () => undefined),
  );
  const senderId = new Uint8Array(16).fill(7);
  expect(storage.placeHere(`/elsewhere/${encodeBase64Url(senderId)}`)).toBe(storage.placeOf(senderId));
});

it('a pipe or a folder in the place of a body is no body, and nobody waits for it', async () => {
  const storage = await openFileStorage(
    join(await temporaryFolder(), 'files'),
    new FlushSchedule('never', () => undefined),
  );
  const [pipe, folder] = [1, 2].map((byte) => storage.placeOf(new Uint8Array(16).fill(byte)));
  await makePipe(pipe!);
  await mkdir(folder!);
  expect(await storage.open(pipe!, 0)).toBeUndefined();
  expect(await storage.open(folder!, 0)).toBeUndefined();
});

it('bodies that go or come back by themselves leave the quota right', async () => {
  const bodies = new MemoryStorage();
  const relay = await testRelay({ bodies });
  const client = await relay.client();
  const chunks = [
    await client.create(chunkBytes()),
    await client.create(chunkBytes()),
    await client.create(chunkBytes()),
  ];
  for (const chunk of chunks) expect(await client.put(chunk)).toBe('OK');
  const [first, second, third] = chunks as [RawChunk, RawChunk, RawChunk];
  const remove = async (by: RawClient, chunk: RawChunk): Promise<string> =>
    errorText((await by.command({ type: 'FDEL' }, asSender(chunk))).response);
  bodies.stored.delete(`memory:${encodeBase64Url(first.senderId)}`);
  expect(await remove(client, first)).toBe('OK');
  expect(relay.usedBytes()).toBe(2 * 65536);
  const away = new Map(bodies.stored);
  bodies.stored.clear();
  const again = await relay.restart();
  expect(again.usedBytes()).toBe(0);
  for (const [place, body] of away) bodies.stored.set(place, body);
  const later = await again.client();
  expect(await remove(later, second)).toBe('OK');
  expect(again.usedBytes()).toBe(0);
  bodies.stored.delete(`memory:${encodeBase64Url(third.senderId)}`);
  expect(await remove(later, third)).toBe('OK');
  expect(again.usedBytes()).toBe(0);
});

it('another folder in the place of the one of chunks takes nothing, and nothing is said to be gone', async () => {
  const relay = await testRelay();
  const client = await relay.client();
  const [kept, late] = [await client.create(chunkBytes()), await client.create(chunkBytes())];
  expect(await client.put(kept)).toBe('OK');
  const away = `${relay.filesPath}.away`;
  await rename(relay.filesPath, away);
  await mkdir(relay.filesPath);
  const remove = async (): Promise<string> =>
    errorText((await client.command({ type: 'FDEL' }, asSender(kept))).response);
  expect(await client.get(kept)).toBe('INTERNAL');
  expect(await client.put(late)).toBe('FILE_IO');
  expect(await remove()).toBe('FILE_IO');
  expect(await readdir(relay.filesPath)).toEqual([]);
  expect(relay.problems).toEqual([expect.stringContaining('is its disk still mounted?')]);

  await rm(relay.filesPath, { recursive: true });
  expect(await client.get(kept)).toBe('INTERNAL');
  await rename(away, relay.filesPath);
  expect(Buffer.compare((await client.get(kept)) as Buffer, kept.bytes)).toBe(0);
  expect(await client.put(late)).toBe('OK');
  expect(await remove()).toBe('OK');
  expect(relay.usedBytes()).toBe(65536);
});

it('a relay stores, gives out, deletes and finds again chunks in a storage that has nothing of files', async () => {
  const bodies = new MemoryStorage();
  const relay = await testRelay({ bodies });
  const client = await relay.client();
  const [kept, deleted] = [await client.create(chunkBytes(1_048_576)), await client.create(chunkBytes())];
  for (const chunk of [kept, deleted]) expect(await client.put(chunk)).toBe('OK');
  expect(await client.put(await client.create(chunkBytes()), chunkBytes())).toBe('DIGEST');
  expect(Buffer.compare((await client.get(kept)) as Buffer, kept.bytes)).toBe(0);
  expect(errorText((await client.command({ type: 'FDEL' }, asSender(deleted))).response)).toBe('OK');
  expect([...bodies.stored.keys()]).toEqual([`memory:${encodeBase64Url(kept.senderId)}`]);
  expect([bodies.incoming.size, relay.usedBytes()]).toEqual([0, 1_048_576]);

  // What a crash leaves behind: half an upload, and a body whose deletion is in the log.
  bodies.incoming.set('half', []);
  bodies.stored.set('memory:left', { senderId: deleted.senderId, bytes: Buffer.from(deleted.bytes), at: 0 });
  const again = await relay.restart();
  expect(again.problems).toEqual([expect.stringContaining('1 of unfinished uploads, 1 that no record owns')]);
  expect([bodies.incoming.size, bodies.stored.size, again.usedBytes()]).toEqual([0, 1, 1_048_576]);
  const later = await again.client();
  expect(Buffer.compare((await later.get(kept)) as Buffer, kept.bytes)).toBe(0);
  expect(errorText((await later.command({ type: 'FACK' }, asRecipient(kept))).response)).toBe('OK');
  expect(await readdir(relay.filesPath)).toEqual([]);
  expect(await readFile(relay.storeLogPath, 'utf8')).toContain('FPUT');
});
