import {
  appendFile,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { encodeBase64Url } from '#src/protocol/index.js';
import {
  checkRelay,
  type CheckReport,
  initRelay,
  loadRelayConfig,
  readCredentials,
} from '#src/relay/index.js';

import { strictRecords } from '../support/log-grammar.js';
import type { RawChunk } from '../support/raw-client.js';
import { recordedRelay } from '../support/recorded-relay.js';
import { runServer } from '../support/server-process.js';
import { makePipe } from '../support/pipe.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { chunkBytes, type TestRelay, testRelay } from '../support/test-relay.js';

/** An initialised relay with four stored chunks, which does not run any more. */
interface Stopped {
  readonly home: string;
  readonly files: string;
  readonly log: string;
  readonly chunks: readonly RawChunk[];
  readonly pathOf: (chunk: RawChunk | undefined) => string;
  readonly check: (options?: { repair?: boolean; digests?: boolean }) => Promise<CheckReport>;
  readonly start: () => Promise<TestRelay>;
}

async function stoppedRelay(): Promise<Stopped> {
  const home = await temporaryFolder();
  const folders = { config: join(home, 'etc'), log: join(home, 'var') };
  const files = join(home, 'srv');
  await initRelay(folders, {
    filesPath: files,
    storageQuota: 10 * 65536,
    ip: '127.0.0.1',
    algorithm: 'ed25519',
    storeLog: true,
  });
  const log = join(folders.log, 'file-server-store.log');
  const start = async (): Promise<TestRelay> =>
    testRelay({ credentials: await readCredentials(folders), filesPath: files, storeLogPath: log });
  const relay = await start();
  const client = await relay.client();
  const chunks: RawChunk[] = [];
  for (let count = 0; count < 4; count++) {
    const chunk = await client.create(chunkBytes());
    expect(await client.put(chunk)).toBe('OK');
    chunks.push(chunk);
  }
  await client.close();
  await relay.stop();
  return {
    home,
    files,
    log,
    chunks,
    pathOf: (chunk) => join(files, encodeBase64Url(chunk!.senderId)),
    check: async ({ repair = false, digests = true } = {}) =>
      checkRelay(folders, await loadRelayConfig(folders), { repair, digests }),
    start,
  };
}

describe('the check of a relay', () => {
  it('finds nothing where all is well', async () => {
    const { check } = await stoppedRelay();
    expect(await check()).toMatchObject({
      chunks: 4,
      bodies: 4,
      bytes: 4 * 65536,
      findings: [],
      outcome: 'clean',
    });
  });

  it('finds each damage, mends it once, keeps what it takes away, and the sound chunks are served', async () => {
    const { files, log, chunks, pathOf, check, start } = await stoppedRelay();
    const [torn, changed, missing, sound] = chunks;
    await truncate(pathOf(torn), 1000);
    await writeFile(pathOf(changed), chunkBytes());
    await rm(pathOf(missing));
    await appendFile(log, 'FDEL AAAAAAAAAAAAAAAAAAAAAA==\nFPUT tor');
    await writeFile(join(files, `.incoming-${'a'.repeat(24)}`), 'half');
    await writeFile(join(files, `${'A'.repeat(22)}==`), 'left');
    await writeFile(join(files, 'README'), "the operator's own");

    const found = await check();
    expect(found).toMatchObject({ outcome: 'damaged', repairs: [] });
    expect(found.findings.map(({ message }) => message).sort()).toEqual(
      [
        'file-server-store.log, line 13 means nothing: its ID is not known.',
        'file-server-store.log, line 14 means nothing: it is cut off at the end of the file.',
        `The chunk ${pathOf(torn)} has a wrong size.`,
        `The chunk ${pathOf(changed)} has a wrong digest.`,
        `The chunk ${pathOf(missing)} is missing.`,
        `The file .incoming-${'a'.repeat(24)} in the folder of chunks belongs to no chunk.`,
        `The file ${'A'.repeat(22)}== in the folder of chunks belongs to no chunk.`,
      ].sort(),
    );
    // Without reading the chunks, the changed one looks sound.
    expect((await check({ digests: false })).findings).toHaveLength(6);

    // Lines were unreadable: until the log is in order nobody knows whose a body without a record is.
    expect(await check({ repair: true })).toMatchObject({ outcome: 'damaged' });
    const repaired = await check({ repair: true });
    expect(repaired).toMatchObject({ outcome: 'repaired', repairs: ['Left-over files removed: 1.'] });
    expect(await check()).toMatchObject({ chunks: 4, bodies: 1, findings: [], outcome: 'clean' });
    expect((await readdir(files)).sort()).toEqual(
      ['README', ...[torn, changed].map((chunk) => `${pathOf(chunk)}.damaged`), pathOf(sound)]
        .map((path) => path.replace(`${files}/`, ''))
        .sort(),
    );
    strictRecords(await readFile(log, 'utf8'));

    const relay = await start();
    expect(relay.problems).toEqual([]);
    const client = await relay.client();
    const bytes = await client.get(sound!);
    expect(Buffer.isBuffer(bytes) && bytes.equals(sound!.bytes)).toBe(true);
    expect(await client.get(torn!)).toBe('NO_FILE');
    expect(await client.put(torn!)).toBe('OK');
  });

  it('puts the places of chunks right when their folder was moved', async () => {
    const { log, chunks, check, start } = await stoppedRelay();
    // As if the log came from another machine.
    const text = await readFile(log, 'utf8');
    await writeFile(
      log,
      text.replaceAll(/^(FPUT (\S+)) \S+$/gm, (_line, head: string, id: string) =>
        [head, encodeBase64Url(Buffer.from(`/elsewhere/${id}`))].join(' '),
      ),
    );
    const found = await check();
    expect(found.outcome).toBe('damaged');
    expect(found.findings[0]!.message).toMatch(
      /^The chunk \S+\/srv\/\S+ is stored here, but the store log names \/elsewhere\/\S+\.$/,
    );
    expect(await check({ repair: true })).toMatchObject({
      outcome: 'repaired',
      repairs: ['Chunks whose place in the store log was put right: 4.'],
    });
    const client = await (await start()).client();
    expect(await client.get(chunks[0]!)).toBeInstanceOf(Buffer);
  });

  it('repairs nothing when none of the chunks is there: more likely their disk is not', async () => {
    const { files, log, check } = await stoppedRelay();
    await rename(files, `${files}.old`);
    await expect(check()).rejects.toThrow(
      /^The folder of chunks \S+ cannot be read: it does not exist; is its disk mounted\?$/,
    );
    await mkdir(files);
    await appendFile(log, 'FPUT tor');
    const before = await readFile(log, 'utf8');
    const report = await check({ repair: true });
    expect(report).toMatchObject({ outcome: 'damaged', repairs: [] });
    // Nor is anything else promised to be repairable.
    expect(report.findings).toEqual([
      {
        kind: 'hopeless',
        message: 'file-server-store.log, line 13 means nothing: it is cut off at the end of the file.',
      },
      {
        kind: 'hopeless',
        message: `None of the 4 chunks is in ${files}: is the disk mounted, and is [FILES] path right?`,
      },
    ]);
    expect(await readFile(log, 'utf8')).toBe(before);
  });

  it('goes on after a chunk that cannot be read, and leaves that one alone', async () => {
    const { log, chunks, pathOf, check } = await stoppedRelay();
    const [unreadable, torn] = chunks;
    // Whose mode forbids it, root could read.
    await rm(pathOf(unreadable));
    await symlink(pathOf(unreadable), pathOf(unreadable));
    await truncate(pathOf(torn), 1000);
    const finding = {
      kind: 'hopeless',
      message: `The chunk ${pathOf(unreadable)} cannot be read: too many symbolic links encountered (ELOOP).`,
    };
    expect((await check()).findings).toEqual(
      expect.arrayContaining([
        finding,
        { kind: 'damage', message: `The chunk ${pathOf(torn)} has a wrong size.` },
      ]),
    );
    expect((await check({ repair: true })).outcome).toBe('damaged');
    expect(await check({ repair: true })).toMatchObject({
      findings: [finding],
      repairs: [],
      outcome: 'damaged',
    });
    // It may be sound: where it lies is not forgotten.
    expect(await readFile(log, 'utf8')).toContain(`FPUT ${encodeBase64Url(unreadable!.senderId)} `);
  });

  it('takes a chunk that lies here for the one of another folder that cannot be read', async () => {
    const { home, log, files, check } = await stoppedRelay();
    const elsewhere = join(home, 'elsewhere');
    await symlink(elsewhere, elsewhere);
    const text = await readFile(log, 'utf8');
    await writeFile(
      log,
      text.replaceAll(/^(FPUT (\S+)) \S+$/gm, (_line, head: string, id: string) =>
        [head, encodeBase64Url(Buffer.from(join(elsewhere, id)))].join(' '),
      ),
    );
    expect(await check({ repair: true })).toMatchObject({ outcome: 'repaired' });
    expect(await check()).toMatchObject({ bodies: 4, outcome: 'clean' });
    expect(await readdir(files)).toHaveLength(4);
  });

  it('does not wait at a pipe in the place of a chunk', async () => {
    const { chunks, pathOf, check } = await stoppedRelay();
    const [piped] = chunks;
    await rm(pathOf(piped));
    await makePipe(pathOf(piped));
    expect((await check()).findings).toEqual([
      { kind: 'damage', message: `The chunk ${pathOf(piped)} is no regular file.` },
    ]);
    expect((await check({ repair: true })).outcome).toBe('repaired');
    expect(await check()).toMatchObject({ bodies: 3, outcome: 'clean' });
  });

  it('says which file stopped it', async () => {
    const { log, check } = await stoppedRelay();
    await rm(log);
    await mkdir(log);
    await expect(check()).rejects.toThrow(/^The check could not be finished[^:]*: it is a folder\.$/);
    await rm(log, { recursive: true });
    await symlink(log, log);
    await expect(check()).rejects.toThrow(`The check could not be finished because of ${log}: too many`);
  });

  it('removes no chunk either when the store log is a new one that knows none', async () => {
    const { files, log, check } = await stoppedRelay();
    const there = (await readdir(files)).sort();
    await rename(log, `${log}.away`);
    await writeFile(log, '');
    const { repairs, outcome } = await check({ repair: true });
    expect([repairs, outcome]).toEqual([
      [
        'Files that belong to no chunk kept, as the store log knows none of those that are there (is it the right one? ' +
          `Restore it or, if it is, remove them by hand): ${String(there.length)}.`,
      ],
      'damaged',
    ]);
    expect((await readdir(files)).sort()).toEqual(there);
  });

  it('says what to do about chunks without a store log, and removes none of them', async () => {
    const { files, log, check } = await stoppedRelay();
    await rename(log, `${log}.away`);
    await writeFile(join(files, `.incoming-${'a'.repeat(24)}`), 'half');
    const kept =
      'Files that belong to no chunk kept, as there is no store log that tells whose they are ' +
      '(restore it from a backup or, if it is lost for good, remove them by hand): 4.';
    const { findings, repairs } = await check({ repair: true });
    expect(findings[0]).toEqual({
      kind: 'warning',
      message: `There is no store log ${log}: the relay was never started, or its log is lost and has to be restored from a backup.`,
    });
    expect(findings.filter(({ kind }) => kind === 'hopeless')).toHaveLength(4);
    expect(repairs).toEqual(['Left-over files removed: 1.', kept]);
    const again = await check({ repair: true });
    expect([again.outcome, again.repairs]).toEqual(['damaged', [kept]]);
    expect(again.findings.some(({ kind }) => kind === 'damage')).toBe(false);
    await rename(`${log}.away`, log);
    expect(await check()).toMatchObject({ bodies: 4, outcome: 'clean' });
  });

  it('is refused while a relay runs', async () => {
    const { check, start } = await stoppedRelay();
    await start();
    await expect(check({ repair: true })).rejects.toThrow(/is in use by another relay \(process \d+\)/);
  });

  it('warns of chunks beyond the quota, which is no damage', async () => {
    const { home, check } = await stoppedRelay();
    const ini = join(home, 'etc/file-server.ini');
    await writeFile(
      ini,
      (await readFile(ini, 'utf8')).replace(/^storage_quota: .*$/m, 'storage_quota: 64kb'),
    );
    const { findings, outcome } = await check();
    expect(outcome).toBe('clean');
    expect(findings.map(({ kind }) => kind)).toEqual(['warning']);
  });
});

describe('xftp-server check', () => {
  it('ends with 0 for a clean relay, 3 for a damaged one, 2 when it was repaired, and 1 when it cannot check', async () => {
    const relay = await recordedRelay();
    const run = async (...args: string[]): Promise<[number | null, string]> => {
      const { code, stdout, stderr } = await runServer(relay.home, ['check', ...args]);
      return [code, stdout + stderr];
    };
    expect(await run()).toEqual([0, '11 chunks, 10 of them uploaded (1.9 MiB): clean.\n']);
    const [name = ''] = await readdir(relay.filesPath);
    await truncate(join(relay.filesPath, name), 7);
    const [code, text] = await run();
    expect(code).toBe(3);
    expect(text).toContain(`The chunk ${join(relay.filesPath, name)} has a wrong size.\n`);
    expect(text).toContain('`xftp-server check --repair` repairs what can be repaired.');
    const [repaired, json] = await run('--repair', '--json');
    expect(repaired).toBe(2);
    expect(JSON.parse(json.trimEnd().split('\n').at(-1)!)).toMatchObject({
      event: 'check',
      outcome: 'repaired',
      chunks: 11,
      bodies: 10,
    });
    expect((await run('--quick'))[0]).toBe(0);
    // Nothing of this can be repaired.
    await rename(relay.filesPath, `${relay.filesPath}.away`);
    await mkdir(relay.filesPath);
    const [hopeless, words] = await run();
    expect([hopeless, words.includes('--repair')]).toEqual([3, false]);
    await rm(relay.iniPath);
    expect((await run())[0]).toBe(1);
  });
});
