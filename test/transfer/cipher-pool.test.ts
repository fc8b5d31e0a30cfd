import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';

import { describe, expect, it, onTestFinished } from 'vitest';

import { randomBytes, sha256 } from '#src/crypto/index.js';
import { bytesEqual } from '#src/protocol/index.js';
import { ChunkMemory } from '#src/transfer/chunk-memory.js';
import { CipherPool, type CipherStream } from '#src/transfer/cipher-pool.js';
import { failing } from '../crypto/expected-failure.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { boxed, type SealedFile, sealFile } from './stream-samples.js';

const NAME = 'source.bin';

/** A pool that ends with the running test. */
function newPool(threads = 1): CipherPool {
  const pool = new CipherPool(threads);
  onTestFinished(() => pool.close());
  return pool;
}

async function sourceOf(content: Uint8Array): Promise<string> {
  const path = join(await temporaryFolder(), NAME);
  writeFileSync(path, content);
  return path;
}

/** Whether this process has the file open, in any thread. */
function isOpen(path: string): boolean {
  return readdirSync('/proc/self/fd').some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false; // The folder itself was open while it was read.
    }
  });
}

/** What tells two sealed files apart, without their bytes: comparing those one by one takes long. */
function summary({ bodies, ...facts }: SealedFile): unknown {
  return { ...facts, bodies: bodies.map(sha256) };
}

/** Seals a whole source in a thread. */
async function sealInThread(
  cipher: CipherStream,
  { path, key, nonce }: { path: string; key: Uint8Array; nonce: Uint8Array },
): Promise<SealedFile> {
  const { sourceSize, chunkSizes } = await cipher.call('sealStart', {
    path,
    name: NAME,
    key,
    nonce,
    maxSize: 1e9,
  });
  const chunks = [];
  const bodies = [];
  const memory = new ChunkMemory().take(Math.max(...chunkSizes));
  for (const expected of chunkSizes) {
    const { size, digest } = await cipher.call('sealNext', { buffer: memory });
    expect(size).toBe(expected);
    chunks.push({ size, digest });
    bodies.push(memory.slice(0, size));
  }
  const { digest } = await cipher.call('sealFinish', {});
  return { sourceSize, key, nonce, digest, chunks, bodies };
}

/** Opens a whole file in a thread, its other chunks in reverse order. Gives the chunks in the order of writing. */
async function openInThread(cipher: CipherStream, file: SealedFile, path: string): Promise<number[]> {
  const { key, nonce, digest, chunks, bodies } = file;
  await cipher.call('openStart', { key, nonce, digest, chunkSizes: chunks.map(({ size }) => size) });
  const take = (index: number): { chunk: ReturnType<typeof boxed> } => ({
    chunk: boxed(index, bodies[index] ?? new Uint8Array(), chunks[index]?.digest ?? new Uint8Array()),
  });
  await cipher.call('openFirst', take(0));
  const { written } = await cipher.call('openPart', { path });
  const order = [...written];
  for (let index = bodies.length - 1; index > 0; index--)
    order.push(...(await cipher.call('openNext', take(index))).written);
  await cipher.call('openFinish', {});
  return order;
}

const keys = (): { key: Uint8Array; nonce: Uint8Array } => ({ key: randomBytes(32), nonce: randomBytes(24) });

describe('sealing in a thread', () => {
  it.each([0, 1, 65_000, 170_000, 900_000, 5_000_000])('%i bytes equals sealing here', async (length) => {
    const path = await sourceOf(randomBytes(length));
    const cipher = newPool().stream();
    const request = { path, ...keys() };
    const sealed = await sealInThread(cipher, request);
    expect(summary(sealed)).toStrictEqual(summary(sealFile({ ...request, name: NAME })));
    await cipher.close();
  });

  it('of several files at once keeps them apart, in one thread and in several', async () => {
    for (const threads of [1, 3]) {
      const pool = newPool(threads);
      const requests = await Promise.all(
        Array.from({ length: 8 }, async (_, index) => ({
          path: await sourceOf(randomBytes(100_000 * index)),
          ...keys(),
        })),
      );
      const streams = requests.map(() => pool.stream());
      const sealed = await Promise.all(
        requests.map((request, index) => sealInThread(streams[index]!, request)),
      );
      expect(sealed.map(summary)).toStrictEqual(
        requests.map((request) => summary(sealFile({ ...request, name: NAME }))),
      );
      await Promise.all(streams.map((stream) => stream.close()));
    }
  });
});

describe('opening in a thread', () => {
  it('writes the content with the mode of a new file, and tells the chunks written, in order', async () => {
    const content = randomBytes(1_200_000);
    const source = await sourceOf(content);
    const file = sealFile({ path: source, name: NAME });
    const cipher = newPool().stream();
    const path = `${source}.part`;
    expect(await openInThread(cipher, file, path)).toStrictEqual([...file.bodies.keys()]);
    await cipher.close();
    expect(bytesEqual(readFileSync(path), content)).toBe(true);
    expect(statSync(path).mode).toBe(statSync(source).mode);
    expect(isOpen(path)).toBe(false);
  });

  it('keeps the file from others until it is verified', async () => {
    const source = await sourceOf(randomBytes(10));
    const { key, nonce, digest, chunks, bodies } = sealFile({ path: source, name: NAME });
    const cipher = newPool().stream();
    await cipher.call('openStart', { key, nonce, digest, chunkSizes: chunks.map(({ size }) => size) });
    const chunk = boxed(0, bodies[0]!, chunks[0]!.digest);
    const prefix = await cipher.call('openFirst', { chunk });
    expect(prefix).toMatchObject({ header: { name: NAME }, contentLength: 10 });
    const path = `${source}.part`;
    await cipher.call('openPart', { path });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(isOpen(path)).toBe(true);
    await cipher.close();
    expect(isOpen(path)).toBe(false);
  });

  it('never writes into a file that is there', async () => {
    const source = await sourceOf(randomBytes(10));
    const file = sealFile({ path: source, name: NAME });
    const cipher = newPool().stream();
    await expect(openInThread(cipher, file, source)).rejects.toThrow(failing('FILE_EXISTS'));
    await cipher.close();
    expect(statSync(source).size).toBe(10);
  });
});

describe('a failure in a thread', () => {
  it('keeps its code and its message', async () => {
    const pool = newPool();
    const path = await sourceOf(randomBytes(170_000));
    const sealing = (source: string, maxSize = 1e9): Promise<unknown> =>
      pool.stream().call('sealStart', { path: source, name: NAME, ...keys(), maxSize });
    await expect(sealing(`${path}.missing`)).rejects.toMatchObject({
      code: 'SOURCE_MISSING',
      message: `${path}.missing does not exist.`,
    });
    await expect(sealing(join(path, '..'))).rejects.toThrow(failing('INVALID_ARGUMENT'));
    await expect(sealing(path, 10)).rejects.toThrow(failing('FILE_TOO_LARGE'));
  });

  it('SOURCE_CHANGED survives the way back', async () => {
    const path = await sourceOf(randomBytes(170_000));
    const cipher = newPool().stream();
    await cipher.call('sealStart', { path, name: NAME, ...keys(), maxSize: 1e9 });
    appendFileSync(path, 'more');
    const sealAll = async (): Promise<void> => {
      for (let index = 0; index < 3; index++)
        await cipher.call('sealNext', { buffer: new ChunkMemory().take(65_536) });
    };
    await expect(sealAll()).rejects.toThrow(failing('SOURCE_CHANGED'));
    await cipher.close();
    expect(isOpen(path)).toBe(false);
  });

  it('CHUNK_TAG, CHUNK_DIGEST and FILE_CORRUPT survive it too', async () => {
    const source = await sourceOf(randomBytes(10));
    const file = sealFile({ path: source, name: NAME });
    const pool = newPool();
    const other = randomBytes(64);
    const cipher = pool.stream();
    const chunkSizes = file.chunks.map(({ size }) => size);
    await cipher.call('openStart', { ...keys(), digest: other, chunkSizes });
    const first = (change: Partial<ReturnType<typeof boxed>>): Promise<unknown> => {
      const chunk = { ...boxed(0, file.bodies[0]!, file.chunks[0]!.digest), ...change };
      return cipher.call('openFirst', { chunk });
    };
    await expect(first({ boxNonce: randomBytes(24) })).rejects.toThrow(failing('CHUNK_TAG'));
    await expect(first({ digest: randomBytes(32) })).rejects.toThrow(failing('CHUNK_DIGEST'));
    // It decrypts to noise with these keys.
    await expect(first({})).rejects.toThrow(failing('FILE_CORRUPT'));
    await cipher.close();
    const lying = pool.stream();
    await expect(openInThread(lying, { ...file, digest: other }, `${source}.part`)).rejects.toThrow(
      failing('FILE_CORRUPT'),
    );
    await lying.close();
    expect(statSync(`${source}.part`).mode & 0o777).toBe(0o600);
  });

  it('is CANCELLED for a stream that was closed', async () => {
    const cipher = newPool().stream();
    const path = await sourceOf(randomBytes(10));
    await cipher.call('sealStart', { path, name: NAME, ...keys(), maxSize: 1e9 });
    expect(isOpen(path)).toBe(true);
    await cipher.close();
    expect(isOpen(path)).toBe(false);
    await expect(cipher.call('sealFinish', {})).rejects.toThrow(failing('CANCELLED'));
  });
});

/** Threads that are started while a test runs. */
function startedThreads(): Worker[] {
  const threads: Worker[] = [];
  const note = (worker: Worker): void => {
    threads.push(worker);
  };
  process.on('worker', note);
  onTestFinished(async () => {
    process.off('worker', note);
    await Promise.all(threads.map((thread) => thread.terminate()));
  });
  return threads;
}

describe('a pool of threads', () => {
  it('starts none before the first call, and then as many as it may', async () => {
    const threads = startedThreads();
    const pool = newPool(2);
    const streams = Array.from({ length: 4 }, () => pool.stream());
    expect(threads).toHaveLength(0);
    await Promise.all(streams.map((stream) => stream.close()));
    expect(threads).toHaveLength(2);
  });

  it('fails the calls under way when it is closed, and closes their files', async () => {
    const pool = newPool();
    const path = await sourceOf(randomBytes(10));
    const cipher = pool.stream();
    await cipher.call('sealStart', { path, name: NAME, ...keys(), maxSize: 1e9 });
    const outcome = expect(
      cipher.call('sealNext', { buffer: new ChunkMemory().take(65_536) }),
    ).rejects.toThrow(failing('LOCAL_IO'));
    await Promise.all([pool.close(), outcome.catch(() => undefined)]);
    expect(existsSync(path)).toBe(true);
  });

  it('starts no thread again when a stream is closed after it', async () => {
    const threads = startedThreads();
    const pool = newPool();
    const cipher = pool.stream();
    await cipher.call('sealStart', {
      path: await sourceOf(new Uint8Array(1)),
      name: NAME,
      ...keys(),
      maxSize: 1,
    });
    await pool.close();
    await cipher.close().catch(() => undefined);
    expect(threads).toHaveLength(1);
  });

  it('starts another thread when one has died, and serves the calls after that', async () => {
    const threads = startedThreads();
    const pool = newPool();
    const first = pool.stream();
    await first.call('sealStart', {
      path: await sourceOf(new Uint8Array(1)),
      name: NAME,
      ...keys(),
      maxSize: 1,
    });
    // A message that no call can be: the thread dies of it.
    const call = first.call('sealFinish', {});
    threads[0]?.postMessage(null);
    await call.catch(() => undefined);
    const lost = await first.call('sealFinish', {}).catch((error: unknown) => error);
    expect(lost).toStrictEqual(failing('LOCAL_IO'));
    const path = await sourceOf(new Uint8Array(1));
    const request = { path, ...keys() };
    const sealed = await sealInThread(pool.stream(), request);
    expect(summary(sealed)).toStrictEqual(summary(sealFile({ ...request, name: NAME })));
  });
});
