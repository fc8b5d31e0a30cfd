import { randomBytes } from 'node:crypto';

import { describe, expect, it } from 'vitest';

import type { BodyStorage } from '#src/relay/index.js';

/** A storage under test, and another one on the same bodies, as a relay has it after a restart. */
export interface StorageUnderTest {
  readonly storage: BodyStorage;
  readonly again: () => Promise<BodyStorage>;
}

const newName = (): string => randomBytes(18).toString('base64url');
const newId = (): Buffer => randomBytes(16);

/** A complete body, ready to be committed. */
async function received(storage: BodyStorage, bytes: Uint8Array): Promise<string> {
  const name = newName();
  const writer = storage.receive(name);
  await writer.write([bytes]);
  await writer.finish();
  return name;
}

async function stored(storage: BodyStorage, bytes: Uint8Array, senderId = newId()): Promise<string> {
  return await storage.commit(await received(storage, bytes), senderId);
}

/** All bytes of a body; undefined when there is none of that size. */
async function content(storage: BodyStorage, place: string, size: number): Promise<Buffer | undefined> {
  const reader = await storage.open(place, size);
  if (reader === undefined) return undefined;
  try {
    const bytes = Buffer.alloc(size);
    expect(await reader.read(bytes, 0)).toBe(true);
    return bytes;
  } finally {
    await reader.close();
  }
}

async function present(storage: BodyStorage, places: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for await (const { place } of storage.present(places.map((each) => ({ place: each })))) found.push(place);
  return found;
}

/** What every storage of chunk bodies must do. */
export function describeBodyStorage(kind: string, make: () => Promise<StorageUnderTest>): void {
  describe(`a storage of bodies in ${kind}`, () => {
    it('gives back what was written in many pieces, in one read and in parts', async () => {
      const { storage } = await make();
      const bytes = randomBytes(300_000);
      const name = newName();
      const writer = storage.receive(name);
      // More pieces than one call into the system takes.
      const pieces = Array.from({ length: 3000 }, (_, index) => bytes.subarray(index * 50, index * 50 + 50));
      await writer.write(pieces);
      await writer.write([bytes.subarray(150_000, 150_001), bytes.subarray(150_001)]);
      await writer.finish();
      const place = await storage.commit(name, newId());
      // Not with `toEqual`, which takes a second for so many.
      expect((await content(storage, place, bytes.length))?.equals(bytes)).toBe(true);
      const reader = await storage.open(place, bytes.length);
      const part = Buffer.alloc(1000);
      expect(await reader?.read(part, 299_000)).toBe(true);
      expect(part).toEqual(bytes.subarray(299_000));
      expect(await reader?.read(part, 299_001)).toBe(false);
      await reader?.close();
    });

    it('has a body only after its commit, under the place that was foretold, and after a restart', async () => {
      const { storage, again } = await make();
      const [bytes, senderId] = [randomBytes(1000), newId()];
      const name = await received(storage, bytes);
      expect(await storage.list()).toEqual([]);
      expect(await content(storage, storage.placeOf(senderId), 1000)).toBeUndefined();
      const place = await storage.commit(name, senderId);
      expect(place).toBe(storage.placeOf(senderId));
      const later = await again();
      expect(await content(later, place, 1000)).toEqual(bytes);
      const [listed, ...others] = await later.list();
      expect(others).toEqual([]);
      expect(listed?.place).toBe(place);
      expect(Buffer.from(listed?.senderId ?? [])).toEqual(senderId);
      const age = Date.now() / 1000 - ((await later.storedAt(place)) ?? 0);
      expect(age).toBeGreaterThan(-60);
      expect(age).toBeLessThan(60);
      expect(await later.storedAt(storage.placeOf(newId()))).toBeUndefined();
    });

    it('opens no body of another size, and none that is not there', async () => {
      const { storage } = await make();
      const place = await stored(storage, randomBytes(1000));
      expect(await storage.open(place, 999)).toBeUndefined();
      expect(await storage.open(storage.placeOf(newId()), 1000)).toBeUndefined();
    });

    it('keeps nothing of a body that is abandoned, by its writer or by its name, complete or not', async () => {
      const { storage } = await make();
      const [half, never] = [storage.receive(newName()), storage.receive(newName())];
      await half.write([randomBytes(1000)]);
      await half.abandon();
      await never.abandon();
      const complete = await received(storage, randomBytes(1000));
      await storage.abandon(complete);
      await storage.abandon(newName());
      await expect(storage.commit(complete, newId())).rejects.toThrow(Error);
      expect(await storage.removeUnfinished()).toBe(0);
      expect(await storage.list()).toEqual([]);
    });

    it('keeps a body that was committed although its writer is abandoned after that', async () => {
      const { storage } = await make();
      const [bytes, name] = [randomBytes(1000), newName()];
      const writer = storage.receive(name);
      await writer.write([bytes]);
      await writer.finish();
      const place = await storage.commit(name, newId());
      await writer.abandon();
      await storage.abandon(name);
      expect(await content(storage, place, 1000)).toEqual(bytes);
    });

    it('keeps two bodies apart that are received for one chunk, and the last commit counts', async () => {
      const { storage } = await make();
      const senderId = newId();
      const [first, second] = [randomBytes(1000), randomBytes(1000)];
      const names = [await received(storage, first), await received(storage, second)] as const;
      const place = await storage.commit(names[0], senderId);
      expect(await content(storage, place, 1000)).toEqual(first);
      expect(await storage.commit(names[1], senderId)).toBe(place);
      expect(await content(storage, place, 1000)).toEqual(second);
      expect(await storage.list()).toHaveLength(1);
    });

    it('removes a body once, while whoever reads it may go on', async () => {
      const { storage } = await make();
      const bytes = randomBytes(1000);
      const place = await stored(storage, bytes);
      const reader = await storage.open(place, 1000);
      await storage.remove(place);
      expect(await storage.open(place, 1000)).toBeUndefined();
      await storage.remove(place);
      const read = Buffer.alloc(1000);
      expect(await reader?.read(read, 0)).toBe(true);
      expect(read).toEqual(bytes);
      await reader?.close();
      expect(await content(storage, place, 1000)).toBeUndefined();
      expect(await storage.list()).toEqual([]);
    });

    it('tells which bodies are there', async () => {
      const { storage } = await make();
      const [kept, removed] = [
        await stored(storage, randomBytes(10)),
        await stored(storage, randomBytes(10)),
      ];
      await storage.remove(removed);
      expect(await present(storage, [removed, kept, storage.placeOf(newId())])).toEqual([kept]);
      expect(storage.placeHere(kept)).toBe(kept);
    });

    it('removes at a start what was not committed, and nothing else', async () => {
      const { storage, again } = await make();
      const place = await stored(storage, randomBytes(1000));
      await received(storage, randomBytes(1000));
      const half = storage.receive(newName());
      await half.write([randomBytes(10)]);
      const later = await again();
      expect(await later.removeUnfinished()).toBe(2);
      expect(await later.removeUnfinished()).toBe(0);
      expect((await later.list()).map((body) => body.place)).toEqual([place]);
      await half.abandon();
    });
  });
}
