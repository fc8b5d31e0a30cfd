import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { ChunkFit } from '#src/agent/chunk-fit.js';
import { inLanes } from '#src/agent/chunk-lanes.js';
import { ChunkStore } from '#src/agent/chunk-store.js';
import { startFaultProxy } from '../support/fault-proxy.js';
import { CALLER, fakeClock, testAgent, testStores } from './agent-samples.js';
import { countedRelay } from './relay-samples.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const MIGRATION = join(import.meta.dirname, '../../migrations/0006_chunk_offset.sql');
const never = new AbortController().signal;

const digest = (value: number): Uint8Array => new Uint8Array(32).fill(value);

describe('the chunks of a transfer', () => {
  it('are in the order of the file after a split, under numbers that stay, and are counted', async () => {
    const { add, clock, database, transfers } = await testStores();
    const store = new ChunkStore(database, clock);
    add('one');
    store.replaceChunks('one', [{ size: MIB }, { size: MIB }, { size: 64 * KIB }]);
    store.finish('one', 3);
    store.splitChunk(
      store.chunks('one')[0]!,
      [1, 2, 3, 4].map((value) => ({ size: 256 * KIB, digest: digest(value) })),
    );
    const rows = store.chunks('one');
    expect(rows.map(({ number, offset, size, state }) => [number, offset / KIB, size / KIB, state])).toEqual([
      [1, 0, 256, 'pending'],
      [4, 256, 256, 'pending'],
      [5, 512, 256, 'pending'],
      [6, 768, 256, 'pending'],
      [2, 1024, 1024, 'pending'],
      [3, 2048, 64, 'done'],
    ]);
    expect(rows.slice(0, 4).map((row) => row.digest?.[0])).toEqual([1, 2, 3, 4]);
    expect(transfers.row('one')).toMatchObject({ chunks_total: 6, chunks_done: 1, bytes_done: 64 * KIB });
  });

  it('of a database from before get their offsets by their numbers', async () => {
    const { add, clock, database } = await testStores();
    const store = new ChunkStore(database, clock);
    for (const id of ['one', 'two']) {
      add(id);
      store.replaceChunks(id, [{ size: MIB }, { size: 256 * KIB }, { size: 64 * KIB }]);
    }
    const before = store.chunks('two');
    database.execute('ALTER TABLE chunks DROP COLUMN offset');
    database.execute(readFileSync(MIGRATION, 'utf8'));
    expect(store.chunks('two')).toEqual(before);
    expect(store.chunks('one').map(({ offset }) => offset)).toEqual([0, MIB, MIB + 256 * KIB]);
  });
});

describe('what fits the way to a server', () => {
  it('is the largest size that got as far, or else the smallest, until half an hour later', () => {
    const clock = fakeClock();
    const fit = new ChunkFit(clock);
    expect(fit.most('a')).toBe(4 * MIB);
    const cutTwice = (size: number, moved: number): void => {
      fit.cut('a', { size, moved });
      fit.cut('a', { size, moved: 1 });
    };
    cutTwice(4 * MIB, 4 * MIB);
    expect(fit.most('a')).toBe(MIB);
    cutTwice(MIB, 300 * KIB);
    expect(fit.most('a')).toBe(256 * KIB);
    cutTwice(256 * KIB, 1);
    cutTwice(64 * KIB, 1);
    expect([fit.most('a'), fit.most('b')]).toEqual([64 * KIB, 4 * MIB]);
    clock.advance(30 * 60_000);
    expect(fit.most('a')).toBe(4 * MIB);
  });

  it('is what gets through now and then, however often the way breaks under others', () => {
    const fit = new ChunkFit(fakeClock());
    for (let count = 0; count < 5; count++) {
      fit.cut('a', { size: 256 * KIB, moved: 100 });
      fit.arrived('a', 256 * KIB);
    }
    expect(fit.most('a')).toBe(4 * MIB);
    fit.cut('a', { size: MIB, moved: 300 * KIB });
    fit.arrived('a', 256 * KIB);
    fit.cut('a', { size: MIB, moved: 100 });
    expect(fit.most('a')).toBe(256 * KIB);
  });
});

describe('lanes', () => {
  it('become fewer and more with what may be at once', async () => {
    let [now, most] = [0, 3];
    const atOnce: number[] = [];
    const items = Array.from({ length: 12 }, (_, index) => ({ index }));
    await inLanes(items, { most: () => most, signal: never }, async ({ index }) => {
      now += 1;
      atOnce.push(now);
      await new Promise(setImmediate);
      now -= 1;
      if (index === 2) most = 1;
      if (index === 8) most = 2;
      return [];
    });
    const [wide, narrow, wider] = [atOnce.slice(0, 3), atOnce.slice(5, 9), atOnce.slice(9)];
    expect([wide, narrow, wider].map((counts) => Math.max(...counts))).toEqual([3, 1, 2]);
    expect(atOnce).toHaveLength(12);
  });

  it('take what replaces an item before the rest, never more at once than there may be', async () => {
    const done: string[] = [];
    let [now, most] = [0, 0];
    await inLanes([{ name: 'a' }, { name: 'b' }], { most: () => 2, signal: never }, async ({ name }) => {
      now += 1;
      most = Math.max(most, now);
      await new Promise(setImmediate);
      now -= 1;
      done.push(name);
      return name === 'a' ? [{ name: 'a1' }, { name: 'a2' }, { name: 'a3' }] : [];
    });
    expect(done.toSorted()).toEqual(['a', 'a1', 'a2', 'a3', 'b']);
    expect(most).toBe(2);
  });

  it('fail with the first failure, and tell the others to stop', async () => {
    const stopped: boolean[] = [];
    const work = async ({ bad }: { bad: boolean }, signal: AbortSignal): Promise<{ bad: boolean }[]> => {
      await new Promise(setImmediate);
      if (bad) throw new Error('bad');
      await new Promise(setImmediate);
      stopped.push(signal.aborted);
      return [];
    };
    const items = [{ bad: true }, { bad: false }];
    await expect(inLanes(items, { most: () => 2, signal: never }, work)).rejects.toThrow('bad');
    expect(stopped).toEqual([true]);
  });
});

describe('a link that breaks within each chunk', () => {
  it.each([7_500_000, 15_000_000])('takes a file of %i bytes in smaller ones', async (size) => {
    const relay = await countedRelay();
    const proxy = await startFaultProxy(relay.port);
    const agent = await testAgent({
      servers: [relay.address.replace(`:${String(relay.port)}`, `:${String(proxy.port)}`)],
      gatePauses: { firstMs: 10, longestMs: 100 },
    });
    const path = join(agent.folder, 'large.bin');
    writeFileSync(path, randomBytes(size));
    proxy.setFault({ type: 'cut', direction: 'up', after: 2_000_000 });
    const { id } = await agent.send({ path, redirect: 'never' }, CALLER);
    const { chunksTotal } = await agent.reached(id, 'completed');
    expect(chunksTotal).toBeGreaterThan(Math.ceil(size / 2_000_000));
    // What was sent in vain is a part of it.
    expect(proxy.passed('up')).toBeLessThan(4 * size);
  });
});
