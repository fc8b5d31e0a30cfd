import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CHUNK_SIZES,
  chunkOffsets,
  MAX_CHUNK_SIZE,
  MAX_CHUNKS,
  planChunkSizes,
  planSmallChunkSizes,
  singleChunkSize,
} from '#src/protocol/chunk-sizes.js';
import { encodeFileHeader, payloadLength } from '#src/protocol/file-header.js';
import { BRIEFLY } from './description-samples.js';

const KB = 1024;
const MB = 1024 * KB;

const repeat = (count: number, size: number): number[] => Array.from({ length: count }, () => size);

const TABLE: readonly [number, number[]][] = [
  [1, [64 * KB]],
  [65536, [64 * KB]],
  [65537, repeat(2, 64 * KB)],
  [196608, repeat(3, 64 * KB)],
  [196609, [256 * KB]],
  [262144, [256 * KB]],
  [262145, [256 * KB, 64 * KB]],
  [500000, repeat(2, 256 * KB)],
  [786432, repeat(3, 256 * KB)],
  [786433, [MB]],
  [800000, [MB]],
  [1048576, [MB]],
  [1048577, [MB, 256 * KB]],
  [2 * MB + 1, [MB, MB, 256 * KB]],
  [2 * MB + 768 * KB, [MB, MB, ...repeat(3, 256 * KB)]],
  [2 * MB + 768 * KB + 1, repeat(3, MB)],
  [3 * MB, repeat(3, MB)],
  [3 * MB + 1, [4 * MB]],
  [4194305, [4 * MB, MB]],
  [5000000, [4 * MB, MB]],
  [7 * MB, [4 * MB, MB, MB, MB]],
  [7 * MB + 1, [4 * MB, 4 * MB]],
  [9 * MB, [4 * MB, 4 * MB, MB]],
  [9 * MB + 256 * KB, [4 * MB, 4 * MB, MB, MB]],
  [26 * MB, [...repeat(6, 4 * MB), MB, MB]],
];

describe('chunk sizes', () => {
  it.each(TABLE)('cuts a payload of %i bytes as the reference does', (payload, sizes) => {
    expect(planChunkSizes(payload)).toEqual(sizes);
  });

  it.each([
    [17 * MB, [...repeat(4, 4 * MB), MB, MB]],
    [5 * MB, [4 * MB, MB, MB]],
    [319 * KB, [256 * KB, 64 * KB]],
  ])('cuts a file of %i bytes with a short name as the reference does', (contentLength, sizes) => {
    expect(planChunkSizes(payloadLength(encodeFileHeader({ name: 'test.bin' }), contentLength))).toEqual(
      sizes,
    );
  });

  it('covers any payload with allowed sizes, the padding smaller than the last chunk', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.integer({ min: 1, max: 20 * MB }), fc.integer({ min: 1, max: 64 * 1024 * MB - 1 })),
        (payload) => {
          const sizes = planChunkSizes(payload);
          const padding = sizes.reduce((sum, size) => sum + size, 0) - payload;
          expect(sizes.every((size) => CHUNK_SIZES.some((allowed) => allowed === size))).toBe(true);
          expect(padding).toBeGreaterThanOrEqual(0);
          expect(padding).toBeLessThan(sizes.at(-1) ?? 0);
          expect(sizes.length).toBeLessThanOrEqual(MAX_CHUNKS);
        },
      ),
      { ...BRIEFLY, numRuns: 300 },
    );
  });

  it.each([
    [1, [64 * KB]],
    [4 * MB, repeat(16, 256 * KB)],
    [9 * MB + 1, [...repeat(36, 256 * KB), 64 * KB]],
  ])('cuts a payload of %i bytes into small chunks when these are wanted', (payload, sizes) => {
    expect(planSmallChunkSizes(payload)).toEqual(sizes);
  });

  it('makes small chunks larger where there would be too many, and takes whatever can be carried', () => {
    const largest = (payload: number): number => {
      const sizes = planSmallChunkSizes(payload);
      expect(sizes.length).toBeLessThanOrEqual(MAX_CHUNKS);
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBeGreaterThanOrEqual(payload);
      return Math.max(...sizes);
    };
    expect(largest(4000 * MB)).toBe(256 * KB);
    expect(largest(4096 * MB)).toBe(MB);
    expect(largest(16 * 1024 * MB)).toBe(4 * MB);
    expect(largest(64 * 1024 * MB - 1)).toBe(4 * MB);
    expect(() => planSmallChunkSizes(64 * 1024 * MB)).toThrow(
      expect.objectContaining({ code: 'FILE_TOO_LARGE' }),
    );
  });

  it('refuses payloads that no transfer can carry', () => {
    expect(() => planChunkSizes(64 * 1024 * MB)).toThrow(expect.objectContaining({ code: 'FILE_TOO_LARGE' }));
    expect(() => planChunkSizes(Number.MAX_SAFE_INTEGER)).toThrow(
      expect.objectContaining({ code: 'FILE_TOO_LARGE' }),
    );
    for (const payload of [0, -1, 0.5, NaN, Infinity])
      expect(() => planChunkSizes(payload)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  it.each([
    [100, 64 * KB],
    [65536, 64 * KB],
    [262144, 256 * KB],
    [300000, MB],
    [1048576, MB],
    [4194304, MAX_CHUNK_SIZE],
    [5000000, undefined],
  ])('holds %i bytes in a single chunk of %s', (payload, size) => {
    expect(singleChunkSize(payload)).toBe(size);
  });

  it('tells where chunks start', () => {
    expect(chunkOffsets([4 * MB, 4 * MB, MB])).toEqual([0, 4194304, 8388608]);
    expect(chunkOffsets([])).toEqual([]);
  });
});
