import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { encodeBase64Url } from '#src/protocol/index.js';

import { asSender, errorText, RawClient, type RawChunk, readReply } from '../support/raw-client.js';
import { chunkBytes, testRelay } from '../support/test-relay.js';

/** Bytes that must come within a time. */
const STEP = 64 * 1024;

/** An upload that has sent its block and `sent` bytes of the chunk, and waits. */
function beginUpload(
  client: RawClient,
  chunk: RawChunk,
  sent: number,
): { finish: (rest?: Uint8Array) => Promise<string>; stream: ReturnType<RawClient['start']> } {
  const stream = client.start();
  const reply = RawClient.reply(stream);
  reply.catch(() => undefined);
  stream.write(client.block({ type: 'FPUT' }, asSender(chunk)));
  stream.write(chunk.bytes.subarray(0, sent));
  return {
    stream,
    finish: async (rest = chunk.bytes.subarray(sent)) => {
      stream.end(rest);
      return errorText(readReply((await reply).body).response);
    },
  };
}

/** Until the relay has begun to store a body. */
async function incomingFiles(folder: string, count: number): Promise<void> {
  await expect
    .poll(async () => (await readdir(folder)).filter((name) => name.startsWith('.incoming-')).length, {
      timeout: 10_000,
    })
    .toBe(count);
}

describe('FPUT', () => {
  it.each([
    ['shorter', 65535, 'SIZE'],
    ['longer by a byte', 65537, 'SIZE'],
    ['much longer', 1_000_000, 'SIZE'],
    ['missing', 0, 'SIZE'],
    ['of another content', 65536, 'DIGEST'],
  ])('with a body that is %s fails, leaves nothing, and may be repeated', async (_what, size, error) => {
    const relay = await testRelay();
    const client = await relay.client();
    const chunk = await client.create(chunkBytes());
    expect(await client.put(chunk, chunkBytes(size))).toBe(error);
    expect(await readdir(relay.filesPath)).toEqual([]);
    expect(relay.usedBytes()).toBe(0);
    expect(await client.put(chunk)).toBe('OK');
    expect(relay.usedBytes()).toBe(65536);
  });

  it('of a chunk that is stored reads the body, answers OK, and changes nothing', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    const chunk = await client.create(chunkBytes());
    expect(await client.put(chunk)).toBe('OK');
    expect(await client.put(chunk, chunkBytes())).toBe('OK');
    expect(await client.put(chunk, chunkBytes(100))).toBe('SIZE');
    expect(Buffer.compare((await client.get(chunk)) as Buffer, chunk.bytes)).toBe(0);
    expect(relay.usedBytes()).toBe(65536);
  });

  it('takes a body in tiny and in odd pieces', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    const chunk = await client.create(chunkBytes());
    const stream = client.start();
    const reply = RawClient.reply(stream);
    const all = Buffer.concat([client.block({ type: 'FPUT' }, asSender(chunk)), chunk.bytes]);
    for (let offset = 0; offset < all.length;) {
      const length = offset < 16390 && offset > 16370 ? 1 : 997;
      await new Promise((resolve) => stream.write(all.subarray(offset, offset + length), resolve));
      offset += length;
    }
    stream.end();
    expect(errorText(readReply((await reply).body).response)).toBe('OK');
    expect(Buffer.compare((await client.get(chunk)) as Buffer, chunk.bytes)).toBe(0);
  });

  it('that is refused early is read to its end: the connection and its other streams live on', async () => {
    const relay = await testRelay({ storageQuota: 1 });
    const client = await relay.client();
    const chunk = await client.create(chunkBytes(4194304));
    const resets: number[] = [];
    client.http2.on('stream', () => resets.push(0));
    const upload = beginUpload(client, chunk, 1000);
    upload.stream.on('close', () => resets.push(upload.stream.rstCode));
    expect(await upload.finish()).toBe('QUOTA');
    expect(await client.put({ ...chunk, senderId: new Uint8Array(16) })).toBe('AUTH');
    expect((await client.command({ type: 'PING' })).response.type).toBe('PONG');
    expect(resets).toEqual([0]);
  });

  it('that sends next to nothing, again and again, is answered TIMEOUT', async () => {
    const relay = await testRelay({ limits: { uploadStallMs: 200 } });
    const client = await relay.client();
    const chunk = await client.create(chunkBytes());
    const stream = client.start();
    const block = new Promise<Buffer>((resolve) => {
      const pieces: Buffer[] = [];
      stream.on('data', (piece: Buffer) => {
        pieces.push(piece);
        if (Buffer.concat(pieces).length === 16384) resolve(Buffer.concat(pieces));
      });
    });
    stream.write(client.block({ type: 'FPUT' }, asSender(chunk)));
    stream.write(chunk.bytes.subarray(0, 1000));
    const drip = setInterval(() => stream.write(Uint8Array.of(1)), 20);
    expect(errorText(readReply(await block).response)).toBe('TIMEOUT');
    clearInterval(drip);
    const again = await relay.client();
    expect(await again.put(chunk)).toBe('OK');
  });

  it('that is slow is stored however long it takes, and the client hears that it moves on', async () => {
    const relay = await testRelay({ limits: { uploadStallMs: 1500, uploadSignMs: 100 } });
    const client = await relay.client();
    const chunk = await client.create(chunkBytes(4 * STEP));
    let signs = 0;
    client.http2.on('ping', () => (signs += 1));
    const upload = beginUpload(client, chunk, 0);
    const begun = performance.now();
    for (let start = 0; start < 4 * STEP; start += STEP) {
      upload.stream.write(chunk.bytes.subarray(start, start + STEP));
      await delay(500);
    }
    expect(performance.now() - begun).toBeGreaterThan(1500);
    expect(await upload.finish(new Uint8Array())).toBe('OK');
    expect(signs).toBeGreaterThanOrEqual(3);
  });

  it('beside others on one connection is told of with them, not each with a PING of its own', async () => {
    const relay = await testRelay({ limits: { uploadSignMs: 1000 } });
    const client = await relay.client();
    let signs = 0;
    client.http2.on('ping', () => (signs += 1));
    const chunks = await Promise.all(Array.from({ length: 8 }, () => client.create(chunkBytes(STEP))));
    const uploads = chunks.map((chunk) => beginUpload(client, chunk, 0));
    const begun = performance.now();
    let sent = 0;
    for (; performance.now() - begun < 1500; sent += 100) {
      for (const [index, { stream }] of uploads.entries())
        stream.write(chunks[index]?.bytes.subarray(sent, sent + 100) ?? '');
      await delay(50);
    }
    const periods = Math.floor((performance.now() - begun) / 1000);
    for (const [index, { finish }] of uploads.entries())
      expect(await finish(chunks[index]?.bytes.subarray(sent))).toBe('OK');
    expect(signs).toBeGreaterThanOrEqual(1);
    expect(signs).toBeLessThanOrEqual(periods + 1);
  });

  it('that the client breaks off leaves nothing and may be repeated on another connection', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    const chunk = await client.create(chunkBytes(1048576));
    beginUpload(client, chunk, 600_000);
    await incomingFiles(relay.filesPath, 1);
    await client.close();
    await incomingFiles(relay.filesPath, 0);
    expect(relay.usedBytes()).toBe(0);
    expect(await (await relay.client()).put(chunk)).toBe('OK');
  });

  it('is refused with TIMEOUT when too many bodies are received at once', async () => {
    const relay = await testRelay({ limits: { uploadsPerConnection: 1 } });
    const client = await relay.client();
    const [first, second] = [await client.create(chunkBytes(1048576)), await client.create(chunkBytes())];
    const upload = beginUpload(client, first, 600_000);
    await incomingFiles(relay.filesPath, 1);
    expect(await client.put(second)).toBe('TIMEOUT');
    expect(await upload.finish()).toBe('OK');
    expect(await client.put(second)).toBe('OK');
  });
});

describe('two uploads of one chunk at once', () => {
  it.each(['first', 'second'] as const)(
    'both succeed when the %s one ends first, and one body is kept',
    async (who) => {
      const relay = await testRelay();
      const client = await relay.client();
      const chunk = await client.create(chunkBytes(1048576));
      const uploads = [
        beginUpload(client, chunk, 600_000),
        beginUpload(await relay.client(), chunk, 700_000),
      ];
      await incomingFiles(relay.filesPath, 2);
      if (who === 'second') uploads.reverse();
      for (const upload of uploads) expect(await upload.finish()).toBe('OK');
      expect(await readdir(relay.filesPath)).toEqual([encodeBase64Url(chunk.senderId)]);
      expect(relay.usedBytes()).toBe(1048576);
      expect(Buffer.compare((await client.get(chunk)) as Buffer, chunk.bytes)).toBe(0);
    },
  );

  it.each([true, false])(
    'a wrong one harms a right one in neither order (wrong one first: %s)',
    async (wrongFirst) => {
      const relay = await testRelay();
      const client = await relay.client();
      const chunk = await client.create(chunkBytes(1048576));
      const right = beginUpload(client, chunk, 600_000);
      const wrong = beginUpload(await relay.client(), { ...chunk, bytes: chunkBytes(1048576) }, 600_000);
      await incomingFiles(relay.filesPath, 2);
      const order = wrongFirst ? [wrong, right] : [right, wrong];
      const results: string[] = [];
      for (const upload of order) results.push(await upload.finish());
      expect(results).toEqual(wrongFirst ? ['DIGEST', 'OK'] : ['OK', 'DIGEST']);
      expect(Buffer.compare((await client.get(chunk)) as Buffer, chunk.bytes)).toBe(0);
      expect(await readdir(relay.filesPath)).toEqual([encodeBase64Url(chunk.senderId)]);
      expect(relay.usedBytes()).toBe(1048576);
    },
  );

  it('end together: many at the same moment give OK to all', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    const chunk = await client.create(chunkBytes(262144));
    const results = await Promise.all(Array.from({ length: 10 }, () => client.put(chunk)));
    expect(new Set(results)).toEqual(new Set(['OK']));
    expect(await readdir(relay.filesPath)).toEqual([encodeBase64Url(chunk.senderId)]);
    expect(relay.usedBytes()).toBe(262144);
  });
});

describe('deletion', () => {
  it('during an upload makes it end with AUTH and leaves no file', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    const chunk = await client.create(chunkBytes(1048576));
    const upload = beginUpload(client, chunk, 600_000);
    await incomingFiles(relay.filesPath, 1);
    expect(errorText((await client.command({ type: 'FDEL' }, asSender(chunk))).response)).toBe('OK');
    expect(await upload.finish()).toBe('AUTH');
    expect(await readdir(relay.filesPath)).toEqual([]);
    expect(relay.usedBytes()).toBe(0);
  });

  it('at any moment of an upload leaves either all or nothing', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    for (let round = 0; round < 20; round++) {
      const chunk = await client.create(chunkBytes());
      const put = client.put(chunk);
      for (let turn = 0; turn < round; turn++) await new Promise(setImmediate);
      const deleted = errorText((await client.command({ type: 'FDEL' }, asSender(chunk))).response);
      expect(deleted).toBe('OK');
      expect(['OK', 'AUTH']).toContain(await put);
    }
    expect(await readdir(relay.filesPath)).toEqual([]);
    expect(relay.usedBytes()).toBe(0);
  });
});

describe('the quota', () => {
  it('counts bodies and uploads under way, and is freed by deletion', async () => {
    const relay = await testRelay({ storageQuota: 131072 });
    const client = await relay.client();
    const chunks = [];
    for (let index = 0; index < 3; index++) chunks.push(await client.create(chunkBytes()));
    const [a, b, c] = chunks as [RawChunk, RawChunk, RawChunk];
    expect(await client.put(a)).toBe('OK');
    const upload = beginUpload(client, b, 1000);
    await expect.poll(() => relay.usedBytes()).toBe(131072);
    expect(await client.put(c)).toBe('QUOTA');
    expect(await upload.finish()).toBe('OK');
    expect(await client.put(c)).toBe('QUOTA');
    await client.command({ type: 'FDEL' }, asSender(a));
    expect(await client.put(c)).toBe('OK');
    const again = await relay.restart();
    expect(again.usedBytes()).toBe(131072);
  });
});

describe('the folder of chunks', () => {
  it('without a body that the log knows: downloads say AUTH, and the record stays', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    const chunk = await client.create(chunkBytes());
    await client.put(chunk);
    await rm(join(relay.filesPath, encodeBase64Url(chunk.senderId)));
    const again = await relay.restart();
    expect(await (await again.client()).get(chunk)).toBe('AUTH');
    expect(await readFile(relay.storeLogPath, 'utf8')).toContain('FPUT');
  });
});

describe('expiry', () => {
  it('deletes bodies, records and IDs when the hour and the life of a chunk are over, and logs it', async () => {
    const hour = 3_600_000;
    let now = Math.floor(Date.now() / hour) * hour + 1_800_000;
    const relay = await testRelay({ now: () => now, chunkLifeSeconds: 7200 });
    const client = await relay.client();
    const [stored, registered] = [await client.create(chunkBytes()), await client.create(chunkBytes())];
    await client.put(stored);
    now += 2.5 * hour;
    await relay.expire();
    expect(await client.get(stored)).toBeInstanceOf(Buffer);
    now += 1;
    await relay.expire();
    expect(await client.get(stored)).toBe('AUTH');
    expect(await client.put(registered)).toBe('AUTH');
    expect(await readdir(relay.filesPath)).toEqual([]);
    expect(relay.usedBytes()).toBe(0);
    const deletions = (await readFile(relay.storeLogPath, 'utf8'))
      .split('\n')
      .filter((line) => line.startsWith('FDEL'));
    expect(deletions.length).toBe(2);
  });

  it('happens at the start too', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    await client.put(await client.create(chunkBytes()));
    await relay.restart({ now: () => Date.now() + 50 * 3_600_000 });
    await expect.poll(() => readdir(relay.filesPath)).toEqual([]);
  });
});
