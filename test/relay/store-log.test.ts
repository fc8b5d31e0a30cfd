import {
  appendFile,
  copyFile,
  readdir,
  readFile,
  rename,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { encodeBase64Url, encodeUtf8 } from '#src/protocol/index.js';
import { formatLogLine, parseLogLine } from '#src/relay/store-log-lines.js';
import { GroupCommit } from '#src/relay/group-commit.js';
import { MemoryRecordStore } from '#src/relay/record-store.js';
import { RecordTable } from '#src/relay/record-table.js';
import { generateKeyPair } from '#src/crypto/index.js';

import { asRecipient, asSender, errorText } from '../support/raw-client.js';
import { chunkBytes, testRelay } from '../support/test-relay.js';

const EXAMPLE = [
  'FNEW AAECAwQFBgcICQoLDA0ODw== MCowBQYDK2VwAyEAebVWLo_mVPlAeLES6KmLp5AfhTrmlb7X4OORC60ElmQ= 65536 zc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc0= 1750507200 active',
  'FADD AAECAwQFBgcICQoLDA0ODw== EBESExQVFhcYGRobHB0eHw==:MCowBQYDK2VwAyEAebVWLo_mVPlAeLES6KmLp5AfhTrmlb7X4OORC60ElmQ=',
  'FPUT AAECAwQFBgcICQoLDA0ODw== L3Nydi94ZnRwL0FBRUNBd1FGQmdjSUNRb0xEQTBPRHc9PQ==',
  'FACK EBESExQVFhcYGRobHB0eHw==',
  'FDEL AAECAwQFBgcICQoLDA0ODw==',
];

const lines = async (path: string): Promise<string[]> => {
  const text = await readFile(path, 'utf8');
  expect(text === '' || text.endsWith('\n')).toBe(true);
  return text.split('\n').slice(0, -1);
};

const backups = async (path: string): Promise<string[]> =>
  (await readdir(dirname(path))).filter((name) => /file-server-store\.log\.\d{4}-/.test(name)).sort();

describe('lines of the store log', () => {
  it.each([
    ...EXAMPLE,
    `${EXAMPLE[0]!.slice(0, -'active'.length)}off`,
    `${EXAMPLE[0]!.slice(0, -'active'.length)}blocked,reason=content`,
    `${EXAMPLE[0]!.slice(0, -'active'.length)}blocked,reason=spam,notice={"ttl":3600}`,
    'FBLK AAECAwQFBgcICQoLDA0ODw== reason=spam,notice={"ttl":3600}',
    'FBLK AAECAwQFBgcICQoLDA0ODw== reason=content',
  ])('are read and written byte for byte: %s', (line) => {
    expect(formatLogLine(parseLogLine(line))).toBe(line);
  });

  it('of old logs have no status, which means active', () => {
    expect(parseLogLine(EXAMPLE[0]!.slice(0, -' active'.length))).toEqual(parseLogLine(EXAMPLE[0]!));
  });

  it('of any other form are an error, never a crash', () => {
    const tags = fc.constantFrom('FNEW', 'FADD', 'FPUT', 'FDEL', 'FBLK', 'FACK', 'NOPE', '');
    fc.assert(
      fc.property(tags, fc.array(fc.string()), (tag, fields) => {
        try {
          expect(typeof formatLogLine(parseLogLine([tag, ...fields].join(' ')))).toBe('string');
        } catch (error) {
          expect(error).toHaveProperty('code');
        }
      }),
    );
  });
});

describe('the store log of a relay', () => {
  it('has 3 lines after create and upload, 4 after FACK, 3 compacted, 4 after FDEL, 0 compacted', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    const chunk = await client.create(chunkBytes(), { recipients: 2 });
    await client.put(chunk);
    const written = await lines(relay.storeLogPath);
    expect(written.length).toBe(3);
    const id = encodeBase64Url(chunk.senderId);
    expect(written[0]).toMatch(new RegExp(`^FNEW ${id} \\S{60} 65536 \\S{44} \\d+ active$`));
    expect(Number(written[0]!.split(' ')[5]) % 3600).toBe(0);
    expect(written[2]).toBe(`FPUT ${id} ${encodeBase64Url(encodeUtf8(join(relay.filesPath, id)))}`);

    await client.command({ type: 'FACK' }, asRecipient(chunk));
    expect((await lines(relay.storeLogPath)).length).toBe(4);

    const second = await relay.restart();
    expect((await lines(second.storeLogPath)).length).toBe(3);
    const again = await second.client();
    expect(await again.get(chunk)).toBe('AUTH');
    const other = { ...chunk, recipientId: chunk.recipientIds[1]! };
    expect(Buffer.compare((await again.get(other)) as Buffer, chunk.bytes)).toBe(0);

    await again.command({ type: 'FDEL' }, asSender(chunk));
    expect((await lines(second.storeLogPath)).length).toBe(4);
    const third = await second.restart();
    expect(await lines(third.storeLogPath)).toEqual([]);
    expect((await backups(third.storeLogPath)).length).toBe(2);
    expect(third.problems).toEqual([]);
  });

  it('is compacted in the order of sender IDs', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    for (let index = 0; index < 20; index++) await client.create(chunkBytes());
    const second = await relay.restart();
    const ids = (await lines(second.storeLogPath))
      .filter((line) => line.startsWith('FNEW'))
      .map((line) => Buffer.from(line.split(' ')[1]!, 'base64url').toString('hex'));
    expect(ids).toEqual([...ids].sort());
    expect(ids.length).toBe(20);
  });

  it('with a torn last line loses that line only, even if it still makes sense', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    const [kept, torn] = [await client.create(chunkBytes()), await client.create(chunkBytes())];
    await client.put(kept);
    await relay.stop();
    const text = `FDEL ${encodeBase64Url(kept.senderId)}`;
    await appendFile(relay.storeLogPath, text);
    const second = await relay.restart();
    expect(second.problems).toEqual([
      'file-server-store.log, line 6 was dropped: it is cut off at the end of the file.',
    ]);
    const again = await second.client();
    expect(await again.get(kept)).toBeInstanceOf(Buffer);
    expect(await again.put(torn)).toBe('OK');
  });

  it('cut at any byte still starts', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    await client.put(await client.create(chunkBytes()));
    let current = relay;
    const { length } = await readFile(relay.storeLogPath);
    for (let cut = length; cut > 0; cut -= 37) {
      await current.stop();
      await truncate(relay.storeLogPath, Math.min(cut, (await readFile(relay.storeLogPath)).length));
      current = await current.restart();
    }
  });

  it('with lines that make no sense reports their numbers and goes on', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    const chunk = await client.create(chunkBytes());
    await relay.stop();
    const [fnew, fadd] = await lines(relay.storeLogPath);
    const zero = fnew!.replace(' 65536 ', ' 0 ').replace(/FNEW \S+/, 'FNEW AAAA');
    const unknown = 'FPUT BBBB L3Ny';
    const text = ['rubbish', fnew, fnew, fadd, unknown, zero, '\0'.repeat(200_000), ''].join('\n');
    await writeFile(relay.storeLogPath, text);
    const second = await relay.restart();
    expect(second.problems.map((problem) => problem.replace(/.*line (\d+).*: (.*)\./, '$1 $2'))).toEqual([
      '1 it cannot be read',
      '3 its ID is already in use',
      '5 its ID is not known',
      '6 its size is 0',
      '7 it cannot be read',
    ]);
    expect(await (await second.client()).put(chunk)).toBe('OK');
  });

  it('is taken back from NAME.start after a crash during compaction', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    const chunk = await client.create(chunkBytes());
    await client.put(chunk);
    await relay.stop();
    await rename(relay.storeLogPath, `${relay.storeLogPath}.start`);
    await writeFile(relay.storeLogPath, 'FNEW half a compacted l');
    const second = await relay.restart();
    expect(second.problems).toEqual([]);
    expect(await (await second.client()).get(chunk)).toBeInstanceOf(Buffer);
    expect(await readdir(dirname(relay.storeLogPath))).not.toContain('file-server-store.log.start');
  });

  it('keeps backups of a day, three older ones, and others for 21 days', async () => {
    const day = 86_400_000;
    const now = Date.parse('2026-06-30T12:00:00.000Z');
    const relay = await testRelay({ now: () => now });
    await relay.stop();
    for (const file of await backups(relay.storeLogPath)) expect(file).toBe('never made by a first start');
    const ages = [0.1, 0.5, 2, 3, 4, 10, 20.9, 21.1, 30, 400];
    for (const age of ages)
      await copyFile(relay.storeLogPath, `${relay.storeLogPath}.${new Date(now - age * day).toISOString()}`);
    await writeFile(`${relay.storeLogPath}.keep-me`, '');
    await utimes(`${relay.storeLogPath}.keep-me`, 0, 0);
    await relay.restart();
    const left = (await backups(relay.storeLogPath)).map((name) => (now - Date.parse(name.slice(22))) / day);
    expect(left.map((age) => Math.round(age * 10) / 10).sort((a, b) => a - b)).toEqual([
      0, 0.1, 0.5, 2, 3, 4, 10, 20.9,
    ]);
    expect(await readdir(dirname(relay.storeLogPath))).toContain('file-server-store.log.keep-me');
  });

  it('says BLOCKED to version 3, AUTH to older ones, for every command, and keeps saying so', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    const chunk = await client.create(chunkBytes());
    await client.put(chunk);
    await relay.stop();
    const line = `FBLK ${encodeBase64Url(chunk.senderId)} reason=spam,notice={"ttl":3600}\n`;
    await appendFile(relay.storeLogPath, line);
    let current = relay;
    for (let start = 0; start < 2; start++) {
      current = await current.restart();
      const [modern, old] = [await current.client(3), await current.client(2)];
      const nobody = { ...asSender(chunk), key: generateKeyPair('ed25519').privateKey };
      const blocked = 'BLOCKED reason=spam,notice={"ttl":3600}';
      expect(errorText((await modern.command({ type: 'FDEL' }, nobody)).response)).toBe(blocked);
      expect(await modern.get(chunk)).toBe(blocked);
      expect(await modern.put(chunk)).toBe(blocked);
      expect(await old.get(chunk)).toBe('AUTH');
      expect(current.usedBytes()).toBe(0);
    }
  });
});

describe('a journal that fails', () => {
  it('refuses changes until it works again, and then keeps every line it was given', async () => {
    let broken = true;
    const kept: string[] = [];
    let waiting: string[] = [];
    const write = new GroupCommit(async () => {
      await Promise.resolve();
      if (broken) throw new Error('disk full');
      kept.push(...waiting);
      waiting = [];
    });
    const store = new MemoryRecordStore(new RecordTable(), {
      append: (changes) => {
        waiting.push(...changes.map(formatLogLine));
        return write.request();
      },
      settled: () => write.request(),
      close: () => Promise.resolve(),
    });
    await expect(store.change(parseLogLine(EXAMPLE[0]!))).rejects.toThrow('disk full');
    await expect(store.change(parseLogLine(EXAMPLE[1]!))).rejects.toThrow('disk full');
    expect(waiting.length).toBe(1);
    broken = false;
    expect(await store.change(parseLogLine(EXAMPLE[1]!))).toBe('done');
    expect(kept).toEqual(EXAMPLE.slice(0, 2));
  });

  it('shares one flush between all that come while another is under way', async () => {
    let flushes = 0;
    const commit = new GroupCommit(async () => {
      flushes += 1;
      await new Promise(setImmediate);
    });
    await Promise.all(Array.from({ length: 100 }, () => commit.request()));
    expect(flushes).toBe(2);
  });
});
