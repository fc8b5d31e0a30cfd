import {
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
  closeSync,
  mkdirSync,
} from 'node:fs';
import { join } from 'node:path';

import Sqlite from 'better-sqlite3';
import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { BackgroundFlush } from '#src/agent/background-flush.js';
import { Database } from '#src/agent/database.js';
import { openAgent } from '#src/agent/index.js';
import { migrate } from '#src/agent/migrations.js';
import { failing } from '../crypto/expected-failure.js';
import { PACKAGE_FOLDER, runProgram, startCommand } from '../support/program.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { testAgent, testDatabase } from './agent-samples.js';

const modeOf = (path: string): number => statSync(path).mode & 0o777;

describe('the database of an agent', () => {
  it('is for its owner only, with all that is beside it', async () => {
    const { dataDir } = await testAgent();
    expect(modeOf(dataDir)).toBe(0o700);
    for (const name of ['agent.sqlite', 'agent.sqlite-wal', 'agent.sqlite-shm', 'token', 'agent.pid', 'lock'])
      expect([name, modeOf(join(dataDir, name)).toString(8)]).toEqual([name, '600']);
    expect(modeOf(join(dataDir, 'snapshots'))).toBe(0o700);
  });

  it('has STRICT tables only', async () => {
    const database = await testDatabase();
    const tables = database.all<{ name: string; strict: number }>(
      "SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite_%'",
    );
    expect(tables.length).toBeGreaterThan(8);
    expect(tables.filter(({ strict }) => strict === 0)).toEqual([]);
  });

  it('keeps foreign keys, and flushes each commit of its write-ahead log', async () => {
    const database = await testDatabase();
    const orphan = "INSERT INTO chunks (transfer_id, number, size, state) VALUES ('none', 1, 1, 'pending')";
    expect(() => database.run(orphan)).toThrow('FOREIGN KEY');
    expect(database.get('PRAGMA journal_mode')).toEqual({ journal_mode: 'wal' });
    expect(database.get('PRAGMA synchronous')).toEqual({ synchronous: 2 });
  });

  it('undoes all of a transaction, with those that are nested in it', async () => {
    const database = await testDatabase();
    const put = (name: string): unknown =>
      database.run('INSERT INTO settings (name, value) VALUES (?, 1)', name);
    const told: string[] = [];
    const work = (): void => {
      database.transaction(() => {
        put('outer');
        database.transaction(() => {
          put('inner');
          database.afterCommit(() => told.push('inner'));
        });
        expect(told).toEqual([]);
        throw new Error('undone');
      });
    };
    expect(work).toThrow('undone');
    expect(database.all('SELECT name FROM settings')).toEqual([]);
    database.transaction(() => put('next'));
    expect(told).toEqual([]);
  });
});

describe('a transaction whose flush nobody else waits for', () => {
  const failOneFlush = (): void => {
    const flush = vi
      .spyOn(BackgroundFlush.prototype, 'flush')
      .mockRejectedValueOnce(Object.assign(new Error('broken'), { code: 'EIO' }));
    onTestFinished(() => {
      flush.mockRestore();
    });
  };
  const put = (database: Database, name: string): unknown =>
    database.run('INSERT INTO settings (name, value) VALUES (?, 1)', name);

  it('is there at once, and leaves the next one as it was', async () => {
    const database = await testDatabase();
    const flushed = database.transactionAsync(() => put(database, 'beside'));
    expect(database.all('SELECT name FROM settings')).toEqual([{ name: 'beside' }]);
    expect(database.get('PRAGMA synchronous')).toEqual({ synchronous: 2 });
    await flushed;
    database.close();
  });

  it('is undone when it fails, and when clients would hear of it before it is flushed', async () => {
    const database = await testDatabase();
    const tell = database.transactionAsync(() => {
      put(database, 'told');
      database.afterCommit(() => undefined);
    });
    await expect(tell).rejects.toThrow('flushed at once');
    const fail = database.transactionAsync(() => {
      put(database, 'failed');
      throw new Error('undone');
    });
    await expect(fail).rejects.toThrow('undone');
    expect(database.all('SELECT name FROM settings')).toEqual([]);
  });

  it('is brought into the database file when its log cannot be flushed', async () => {
    const database = await testDatabase();
    failOneFlush();
    await database.transactionAsync(() => put(database, 'kept'));
    expect(statSync(`${database.path}-wal`).size).toBe(0);
    expect(database.all('SELECT name FROM settings')).toEqual([{ name: 'kept' }]);
  });

  it('fails when neither is possible, and nothing is recorded behind it until it is', async () => {
    const database = await testDatabase();
    put(database, 'before');
    const reader = new Sqlite(database.path, { readonly: true });
    reader.exec('BEGIN; SELECT * FROM settings');
    failOneFlush();
    await expect(database.transactionAsync(() => put(database, 'beside'))).rejects.toThrow(
      failing('DATABASE_UNUSABLE'),
    );
    expect(() => put(database, 'behind')).toThrow(failing('DATABASE_UNUSABLE'));
    reader.close();
    put(database, 'after');
    const names = database.all<{ name: string }>('SELECT name FROM settings').map(({ name }) => name);
    expect(names.sort()).toEqual(['after', 'before', 'beside']);
  });

  it('is flushed where the log is when the database is behind a link', async () => {
    const { path } = await testDatabase();
    const link = join(await temporaryFolder(), 'link.sqlite');
    symlinkSync(path, link);
    const database = new Database(link);
    await database.transactionAsync(() => put(database, 'linked'));
    database.close();
  });

  it('is as good when the database is closed at once', async () => {
    const database = await testDatabase();
    const flushed = database.transactionAsync(() => put(database, 'closed'));
    database.close();
    await flushed;
    const again = new Database(database.path);
    expect(again.all('SELECT name FROM settings')).toEqual([{ name: 'closed' }]);
    again.close();
  });
});

describe('the migrations', () => {
  it('give the schema that is checked in (else run npm run schema:dump)', async () => {
    const { ended } = startCommand([
      process.execPath,
      join(PACKAGE_FOLDER, 'scripts/schema-dump.js'),
      '--print',
    ]);
    const { stdout, stderr } = await ended;
    expect(stderr).toBe('');
    expect(stdout).toBe(readFileSync(join(PACKAGE_FOLDER, 'migrations/schema.sql'), 'utf8'));
  });

  it('are applied once', async () => {
    const database = await testDatabase();
    database.run("INSERT INTO settings (name, value) VALUES ('kept', 1)");
    const version = migrate(database);
    expect(database.get('PRAGMA user_version')).toEqual({ user_version: version });
    expect(database.all('SELECT name FROM settings')).toEqual([{ name: 'kept' }]);
  });

  it('refuse a database of a newer version with a sentence that says so, and leave it alone', async () => {
    const database = await testDatabase();
    database.execute('PRAGMA user_version = 4711');
    expect(() => migrate(database)).toThrow(failing('DATABASE_UNUSABLE'));
    expect(() => migrate(database)).toThrow(/made by a newer xftp-agent.*4711.*update xftp-agent.*\.$/);
    expect(database.get('PRAGMA user_version')).toEqual({ user_version: 4711 });
  });
});

describe('opening an agent', () => {
  const open = (dataDir: string): Promise<unknown> =>
    openAgent({ dataDir, downloadsDir: dataDir, version: '0.0.0-test' });

  it('on a newer database is refused, and lets go of the folder', async () => {
    const agent = await testAgent();
    await agent.stop();
    const path = join(agent.dataDir, 'agent.sqlite');
    const setVersion = (version: number): number => {
      const database = new Database(path);
      const before = database.get<{ user_version: number }>('PRAGMA user_version')?.user_version ?? 0;
      database.execute(`PRAGMA user_version = ${String(version)}`);
      database.close();
      return before;
    };
    const newest = setVersion(4711);
    for (let go = 0; go < 2; go++) await expect(open(agent.dataDir)).rejects.toThrow('newer xftp-agent');
    setVersion(newest);
    await agent.reopen();
  });

  it.each<[string, (path: string) => void]>([
    [
      'other bytes',
      (path) => {
        writeFileSync(path, 'This is no database, but it is long enough to look like one.'.repeat(100));
      },
    ],
    [
      'damaged tables',
      (path) => {
        const file = openSync(path, 'r+');
        writeSync(file, Buffer.alloc(3000, 0xff), 0, 3000, 100);
        closeSync(file);
      },
    ],
    [
      'a page inside that was overwritten',
      (path) => {
        const database = new Database(path);
        const { root = 0 } =
          database.get<{ root: number }>(
            "SELECT rootpage AS root FROM sqlite_schema WHERE name = 'transfers'",
          ) ?? {};
        database.close();
        const file = openSync(path, 'r+');
        writeSync(file, Buffer.alloc(4096, 0xa5), 0, 4096, (root - 1) * 4096);
        closeSync(file);
      },
    ],
    [
      'the tables of another program',
      (path) => {
        rmSync(path);
        const database = new Database(path);
        database.execute('CREATE TABLE transfers (what TEXT)');
        database.close();
      },
    ],
    [
      'the tables of another program that counts its versions too',
      (path) => {
        rmSync(path);
        const database = new Database(path);
        database.execute('CREATE TABLE transfers (what TEXT); PRAGMA user_version = 1');
        database.close();
      },
    ],
  ])('on a file with %s is refused with a sentence', async (_, damage) => {
    const agent = await testAgent();
    await agent.stop();
    damage(join(agent.dataDir, 'agent.sqlite'));
    const outcome = open(agent.dataDir);
    await expect(outcome).rejects.toThrow(failing('DATABASE_UNUSABLE'));
    await expect(outcome).rejects.toThrow(/agent\.sqlite.* (?:damaged|cannot be opened).*\.$/);
  });

  it('on a damaged database ends the program with one sentence that tells the way out, and its exit code', async () => {
    const agent = await testAgent();
    await agent.stop();
    writeFileSync(join(agent.dataDir, 'agent.sqlite'), 'This is no database.'.repeat(1000));
    const { exitCode, stderr } = await runProgram('xftp-agent', ['start', '--data-dir', agent.dataDir]);
    expect(exitCode).toBe(49);
    expect(stderr).toMatch(
      /^.*The database .*agent\.sqlite is damaged: restore a backup of it, or move it away to start anew; the transfers in it are lost then\.$/m,
    );
    expect(stderr).not.toMatch(/^ +at /m);
  });

  it('on a folder in place of the file is refused with a sentence', async () => {
    const folder = await temporaryFolder();
    mkdirSync(join(folder, 'agent.sqlite'));
    await expect(open(folder)).rejects.toThrow(failing('DATABASE_UNUSABLE'));
  });
});
