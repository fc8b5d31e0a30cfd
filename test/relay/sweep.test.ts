import {
  copyFile,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { basename, join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { encodeBase64Url } from '#src/protocol/index.js';
import { startRelay } from '#src/relay/index.js';

import { asSender, type RawChunk } from '../support/raw-client.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { chunkBytes, type TestRelay, testRelay } from '../support/test-relay.js';

const nameOf = ({ senderId }: RawChunk): string => encodeBase64Url(senderId);

/** A stopped relay with a stored chunk and the body of one that was deleted, as a loss of power leaves them. */
async function withLeftBody(): Promise<{ relay: TestRelay; kept: RawChunk; left: RawChunk }> {
  const relay = await testRelay();
  const client = await relay.client();
  const [kept, left] = [await client.create(chunkBytes()), await client.create(chunkBytes())];
  for (const chunk of [kept, left]) expect(await client.put(chunk)).toBe('OK');
  const path = join(relay.filesPath, nameOf(left));
  await copyFile(path, `${path}.copy`);
  expect((await client.command({ type: 'FDEL' }, asSender(left))).response.type).toBe('OK');
  await relay.stop();
  await rename(`${path}.copy`, path);
  return { relay, kept, left };
}

/** Makes a body one of three days ago: chunks live two days. */
async function makeOld(relay: TestRelay, chunk: RawChunk): Promise<void> {
  const time = Date.now() / 1000 - 3 * 24 * 3600;
  await utimes(join(relay.filesPath, nameOf(chunk)), time, time);
}

/** What a relay says that has left so many. */
const stayed = (bodies: number, why: 'some known' | 'none known' | 'no log'): string =>
  `Files in the folder of chunks that belong to no chunk: ${String(bodies)}. ${
    {
      'some known':
        'They stay until they are older than chunks can get; `xftp-server check --repair` removes them at once, ' +
        'if the store log is the right one.',
      'none known':
        'The store log knows none of the files that are there: if it is the wrong one, stop the relay and restore ' +
        'the right one, or set XFTP_SERVER_LOG_PATH; if not, remove them by hand.',
      'no log':
        'The store log was not there and is new: if it has been lost, stop the relay and restore it, or set ' +
        'XFTP_SERVER_LOG_PATH.',
    }[why]
  }`;

/** What a relay says that removed so many. */
const removed = (uploads: number, bodies: number): string =>
  `Left-over files were removed from the folder of chunks: ${String(uploads)} of unfinished uploads, ` +
  `${String(bodies)} that no record owns.`;

describe('at the start', () => {
  it('old bodies that no record owns are removed, those of records are not', async () => {
    const { relay, kept, left } = await withLeftBody();
    for (const chunk of [kept, left]) await makeOld(relay, chunk);
    const again = await relay.restart();
    expect(again.problems).toEqual([removed(0, 1)]);
    expect(await readdir(relay.filesPath)).toEqual([nameOf(kept)]);
    expect(await (await again.client()).get(kept)).toBeInstanceOf(Buffer);
    expect((await again.restart()).problems).toEqual([]);
  });

  it('all bodies are there again when the right log is back, after a start and an upload with another one', async () => {
    const { relay, kept, left } = await withLeftBody();
    const elsewhere = join(await temporaryFolder(), basename(relay.storeLogPath));
    const wrong = await testRelay({ filesPath: relay.filesPath, storeLogPath: elsewhere });
    const client = await wrong.client();
    const other = await client.create(chunkBytes());
    expect(await client.put(other)).toBe('OK');
    const again = await wrong.restart();
    expect(again.problems).toEqual([stayed(2, 'some known')]);
    await again.stop();
    const right = await relay.restart();
    expect(right.problems).toEqual([stayed(2, 'some known')]);
    expect(await (await right.client()).get(kept)).toBeInstanceOf(Buffer);
    expect((await readdir(relay.filesPath)).sort()).toEqual([kept, left, other].map(nameOf).sort());
  });

  it('it is told, and counted as a problem, when none of the chunks is there', async () => {
    const { relay, kept } = await withLeftBody();
    await rename(relay.filesPath, `${relay.filesPath}.unmounted`);
    const again = await relay.restart();
    expect(again.problems).toEqual([
      'Of 1 chunks that the store log knows none is in the folder of chunks, and clients are told that they are gone: ' +
        'is its disk mounted, and is [FILES] path right?',
    ]);
    expect((await again.figures()).problems).toBe(1);
    await again.stop();
    await rm(relay.filesPath, { recursive: true });
    await rename(`${relay.filesPath}.unmounted`, relay.filesPath);
    const right = await relay.restart();
    expect(await (await right.client()).get(kept)).toBeInstanceOf(Buffer);
  });

  it('a body is removed whose upload was never noted, and the chunk can be uploaded again', async () => {
    const { relay, kept, left } = await withLeftBody();
    await makeOld(relay, left);
    const first = await relay.restart();
    const registered = await (await first.client()).create(left.bytes);
    await first.stop();
    await writeFile(join(relay.filesPath, nameOf(registered)), left.bytes);
    const again = await first.restart();
    expect(again.problems).toEqual([removed(0, 1)]);
    expect(await readdir(relay.filesPath)).toEqual([nameOf(kept)]);
    expect(await (await again.client()).put(registered)).toBe('OK');
  });

  it('unfinished uploads are removed, and nothing that only looks like one', async () => {
    const { relay, kept, left } = await withLeftBody();
    await makeOld(relay, left);
    const orphan = nameOf({ ...kept, senderId: new Uint8Array(16).fill(7) });
    const others = [
      'letter.txt',
      '.incoming-left',
      `.incoming-${'a'.repeat(25)}`,
      orphan.slice(0, -2), // without its padding
      `${orphan}.bak`,
      encodeBase64Url(new Uint8Array(17)),
      encodeBase64Url(new Uint8Array(15)),
      `${'A'.repeat(21)}B==`, // stray bits
      'a-letter-of-24-letters==',
    ];
    for (const name of others) await writeFile(join(relay.filesPath, name), 'mine');
    await mkdir(join(relay.filesPath, orphan));
    const link = encodeBase64Url(new Uint8Array(16).fill(8));
    await symlink(join(relay.filesPath, 'letter.txt'), join(relay.filesPath, link));
    await writeFile(join(relay.filesPath, `.incoming-${'a'.repeat(24)}`), 'half');
    const again = await relay.restart();
    expect(again.problems).toEqual([removed(1, 1)]);
    expect((await readdir(relay.filesPath)).sort()).toEqual([...others, orphan, link, nameOf(kept)].sort());
  });

  it.each([
    ['has a line that cannot be read', 'rubbish\n'],
    ['is cut off', 'FNEW half a l'],
  ])('no body is removed when the store log %s', async (_what, text) => {
    const { relay, kept, left } = await withLeftBody();
    await writeFile(relay.storeLogPath, text, { flag: 'a' });
    const again = await relay.restart();
    expect(again.problems.length).toBe(1);
    expect((await readdir(relay.filesPath)).sort()).toEqual([nameOf(kept), nameOf(left)].sort());
  });

  it('no body is removed when the store log is missing, empty, or that of another relay', async () => {
    const { relay, kept, left } = await withLeftBody();
    for (const chunk of [kept, left]) await makeOld(relay, chunk);
    const names = [nameOf(kept), nameOf(left)].sort();
    const elsewhere = join(await temporaryFolder(), basename(relay.storeLogPath));
    const missing = await testRelay({ filesPath: relay.filesPath, storeLogPath: elsewhere });
    expect(await readdir(relay.filesPath)).toHaveLength(2);
    await missing.client().then((client) => client.create(chunkBytes()));
    const other = await missing.restart();
    expect((await readdir(relay.filesPath)).sort()).toEqual(names);
    await other.stop();
    await truncate(relay.storeLogPath, 0);
    const empty = await relay.restart();
    expect((await readdir(relay.filesPath)).sort()).toEqual(names);
    expect(missing.problems).toEqual([stayed(2, 'no log')]);
    expect([...other.problems, ...empty.problems]).toEqual([
      stayed(2, 'none known'),
      stayed(2, 'none known'),
    ]);
  });

  it('no body is removed while the store log has a line that cannot be read, however often the relay starts', async () => {
    const { relay, kept, left } = await withLeftBody();
    const log = await readFile(relay.storeLogPath, 'latin1');
    await writeFile(relay.storeLogPath, `FNEW what is this\n${log}`);
    let running = relay;
    for (let start = 0; start < 3; start++) {
      running = await running.restart();
      expect(running.problems).toEqual([expect.stringMatching(/, line 1 was skipped: it cannot be read\.$/)]);
      expect((await readdir(relay.filesPath)).sort()).toEqual([nameOf(kept), nameOf(left)].sort());
    }
  });

  it('no body is removed when there is to be no store log', async () => {
    const { relay, kept, left } = await withLeftBody();
    const problems: string[] = [];
    const forgetful = await startRelay({
      filesPath: relay.filesPath,
      listenHost: '127.0.0.1',
      report: (problem) => problems.push(problem),
    });
    await forgetful.stop();
    expect(problems).toEqual([]);
    expect((await readdir(relay.filesPath)).sort()).toEqual([nameOf(kept), nameOf(left)].sort());
  });
});
