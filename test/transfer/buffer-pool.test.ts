import { describe, expect, it } from 'vitest';

import { BufferPool } from '#src/transfer/buffer-pool.js';
import { failing } from '../crypto/expected-failure.js';

const never = new AbortController().signal;

describe('a pool of buffers', () => {
  it('makes so many of such a size and no more', async () => {
    const pool = new BufferPool(2, 100);
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

  it('takes back any view and hands out the whole', async () => {
    const pool = new BufferPool(1, 100);
    const buffer = await pool.take(never);
    pool.give(buffer.subarray(10, 20));
    const again = await pool.take(never);
    expect([again.length, again.byteOffset, again.buffer === buffer.buffer]).toStrictEqual([100, 0, true]);
  });

  it('serves in the order of asking', async () => {
    const pool = new BufferPool(1, 1);
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
    const pool = new BufferPool(1, 1);
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
    const pool = new BufferPool(1, 1);
    await expect(async () => pool.take(AbortSignal.abort())).rejects.toThrow(failing('CANCELLED'));
    expect(await pool.take(never)).toHaveLength(1);
  });

  it('does not care for an abort after the buffer was taken', async () => {
    const pool = new BufferPool(1, 1);
    const buffer = await pool.take(never);
    const abort = new AbortController();
    const waiting = pool.take(abort.signal);
    pool.give(buffer);
    abort.abort();
    pool.give(await waiting);
    expect(await pool.take(never)).toHaveLength(1);
  });

  it('has a replacement for a buffer that was lost', () => {
    expect(new BufferPool(0, 7).replacement()).toHaveLength(7);
  });
});
