import { describe, expect, it } from 'vitest';

import { BufferPool } from '#src/transfer/buffer-pool.js';
import { ChunkMemory } from '#src/transfer/chunk-memory.js';
import { failing } from '../crypto/expected-failure.js';

const never = new AbortController().signal;

describe('a pool of buffers', () => {
  it('makes so many of such a size and no more', async () => {
    const pool = new BufferPool(new ChunkMemory(), 2, 100);
    const [first, second] = [await pool.take(never), await pool.take(never)];
    expect([first.length, second.length]).toStrictEqual([100, 100]);
    expect(first.buffer).not.toBe(second.buffer);
    let third: Uint8Array | undefined;
    const waiting = pool.take(never).then((buffer) => (third = buffer));
    await Promise.resolve();
    expect(third).toBeUndefined();
    pool.give(second);
    expect((await waiting).buffer).toBe(second.buffer);
  });

  it('serves in the order of asking', async () => {
    const pool = new BufferPool(new ChunkMemory(), 1, 1);
    const buffer = await pool.take(never);
    const served: number[] = [];
    const waiting = [0, 1, 2, 3].map((index) =>
      pool.take(never).then((taken) => {
        served.push(index);
        pool.give(taken);
      }),
    );
    pool.give(buffer);
    await Promise.all(waiting);
    expect(served).toStrictEqual([0, 1, 2, 3]);
  });

  it('forgets those who abort while they wait, and serves the others', async () => {
    const pool = new BufferPool(new ChunkMemory(), 1, 1);
    const buffer = await pool.take(never);
    const abort = new AbortController();
    const leaving = pool.take(abort.signal);
    const staying = pool.take(never);
    abort.abort();
    await expect(leaving).rejects.toThrow(failing('CANCELLED'));
    pool.give(buffer);
    expect((await staying).buffer).toBe(buffer.buffer);
    pool.give(buffer);
    expect((await pool.take(never)).buffer).toBe(buffer.buffer);
  });

  it('gives nothing to those who have aborted already', async () => {
    const pool = new BufferPool(new ChunkMemory(), 1, 1);
    await expect(async () => pool.take(AbortSignal.abort())).rejects.toThrow(failing('CANCELLED'));
    expect(await pool.take(never)).toHaveLength(1);
  });

  it('does not care for an abort after the buffer was taken', async () => {
    const pool = new BufferPool(new ChunkMemory(), 1, 1);
    const buffer = await pool.take(never);
    const abort = new AbortController();
    const waiting = pool.take(abort.signal);
    pool.give(buffer);
    abort.abort();
    pool.give(await waiting);
    expect(await pool.take(never)).toHaveLength(1);
  });

  it('leaves its buffers to the next pool, those under way when they come back', async () => {
    const memory = new ChunkMemory();
    const pool = new BufferPool(memory, 2, 100);
    const [first, second] = [await pool.take(never), await pool.take(never)];
    pool.give(first);
    pool.close();
    pool.give(second);
    const next = new BufferPool(memory, 3, 100);
    const again = [await next.take(never), await next.take(never), await next.take(never)];
    expect(again.filter((buffer) => buffer === first || buffer === second)).toHaveLength(2);
  });
});

describe('memory for chunks', () => {
  it('is seen by other threads, and used again only for the same size', () => {
    const memory = new ChunkMemory();
    const buffer = memory.take(100);
    expect(buffer.buffer).toBeInstanceOf(SharedArrayBuffer);
    memory.give(buffer);
    expect(memory.take(101)).not.toBe(buffer);
    expect(memory.take(100)).toBe(buffer);
    expect(memory.take(100)).not.toBe(buffer);
  });

  it('keeps no more than a busy transfer needs', () => {
    const memory = new ChunkMemory();
    const size = 4 * 1024 * 1024;
    const buffers = Array.from({ length: 20 }, () => memory.take(size));
    for (const buffer of buffers) memory.give(buffer);
    const again = Array.from({ length: 20 }, () => memory.take(size));
    expect(again.filter((buffer) => buffers.includes(buffer))).toHaveLength(8);
  });
});
