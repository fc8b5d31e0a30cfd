import { describe, expect, it } from 'vitest';

import { RelayTaskStore } from '#src/agent/relay-task-store.js';
import { rolesOf, ServerStore } from '#src/agent/server-store.js';
import { DEFAULT_SETTINGS, SettingsStore } from '#src/agent/settings-store.js';
import { TokenStore } from '#src/agent/token-store.js';
import { parseServerAddress } from '#src/protocol/index.js';
import { failing } from '../crypto/expected-failure.js';
import { fakeClock, testDatabase } from './agent-samples.js';

const FINGERPRINT = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=';
const ONE = `xftp://${FINGERPRINT}@one.example`;
const TWO = `xftp://${FINGERPRINT}@two.example:5443`;

describe('access tokens', () => {
  it('are known by their secret, of which only the digest is kept', async () => {
    const database = await testDatabase();
    const clock = fakeClock();
    const tokens = new TokenStore(database, clock);
    const { token, ...info } = tokens.create({ name: 'bot', scope: 'submit', folders: ['/srv', '/tmp'] });
    expect(info).toEqual({
      id: info.id,
      name: 'bot',
      scope: 'submit',
      folders: ['/srv', '/tmp'],
      createdAt: clock.now(),
    });
    expect(token).toMatch(/^[\w-]{43}$/);
    expect(tokens.authenticate(token)).toEqual(info);
    expect(tokens.list()).toEqual([info]);
    for (const wrong of ['', 'x', token.slice(1), `${token} `, token.toLowerCase()])
      expect(tokens.authenticate(wrong)).toBeUndefined();
    expect(JSON.stringify(database.all('SELECT * FROM tokens'))).not.toContain(token);
    expect(tokens.create({ name: 'other', scope: 'read' }).token).not.toBe(token);
  });

  it('have names of their own', async () => {
    const tokens = new TokenStore(await testDatabase(), fakeClock());
    tokens.create({ name: 'bot', scope: 'read' });
    expect(() => tokens.create({ name: 'bot', scope: 'admin' })).toThrow(failing('INVALID_ARGUMENT'));
    expect(tokens.list()).toHaveLength(1);
  });

  it('are no longer known when they are revoked, and their number is not used again', async () => {
    const tokens = new TokenStore(await testDatabase(), fakeClock());
    tokens.create({ name: 'admin', scope: 'admin' });
    const { id, token } = tokens.create({ name: 'bot', scope: 'read' });
    tokens.revoke(id);
    expect(tokens.authenticate(token)).toBeUndefined();
    expect(tokens.create({ name: 'bot', scope: 'read' }).id).toBeGreaterThan(id);
    expect(() => {
      tokens.revoke(id);
    }).toThrow(failing('NOT_FOUND'));
  });

  it('always include one that may do everything', async () => {
    const tokens = new TokenStore(await testDatabase(), fakeClock());
    const first = tokens.create({ name: 'first', scope: 'admin' });
    const second = tokens.create({ name: 'second', scope: 'admin' });
    tokens.revoke(first.id);
    expect(() => {
      tokens.revoke(second.id);
    }).toThrow(failing('ILLEGAL_STATE'));
    expect(tokens.authenticate(second.token)).toBeDefined();
  });
});

describe('settings', () => {
  const warn = (message: string): never => {
    throw new Error(message);
  };

  it('are the defaults until they are set, and survive', async () => {
    const database = await testDatabase();
    const settings = new SettingsStore(database, warn);
    expect(settings.current).toEqual(DEFAULT_SETTINGS);
    const changed = { ...DEFAULT_SETTINGS, chunksTotal: 3, transferDays: 30 };
    expect(settings.set({ chunksTotal: 3, transferDays: 30 })).toEqual(changed);
    expect(settings.current).toEqual(changed);
    expect(new SettingsStore(database, warn).current).toEqual(changed);
    settings.set({ transferDays: null });
    expect(new SettingsStore(database, warn).current).toEqual({ ...changed, transferDays: null });
  });

  it('that cannot be read are the defaults, and that is told', async () => {
    const database = await testDatabase();
    for (const [name, value] of [
      ['chunksTotal', '{'],
      ['deadlineHours', '"many"'],
      ['transferDays', '12'],
      ['socksProxy', '5'],
    ] as const)
      database.run('INSERT INTO settings (name, value) VALUES (?, ?)', name, value);
    const warnings: string[] = [];
    const { current } = new SettingsStore(database, (message) => warnings.push(message));
    expect(current).toEqual({ ...DEFAULT_SETTINGS, transferDays: 12 });
    expect(warnings).toEqual([
      'The setting chunksTotal in the database cannot be read; its default holds: 16.',
      'The setting deadlineHours in the database cannot be read; its default holds: 48.',
      'The setting socksProxy in the database cannot be read; its default holds: null.',
    ]);
  });

  it('do not change when they cannot be written', async () => {
    const database = await testDatabase();
    const settings = new SettingsStore(database, warn);
    const change = (): never =>
      database.transaction(() => {
        settings.set({ chunksTotal: 3 });
        throw new Error('undone');
      });
    expect(change).toThrow('undone');
    expect(settings.current).toEqual(DEFAULT_SETTINGS);
  });

  it('of a later version are ignored', async () => {
    const database = await testDatabase();
    database.run("INSERT INTO settings (name, value) VALUES ('unheardOf', '1')");
    expect(new SettingsStore(database, warn).current).toEqual(DEFAULT_SETTINGS);
  });
});

describe('the server list', () => {
  it('knows a server by its address without password, and keeps the password', async () => {
    const servers = new ServerStore(await testDatabase(), fakeClock());
    const withPassword = parseServerAddress(`xftp://${FINGERPRINT}:secret@one.example`);
    const row = servers.put(withPassword, { operator: 'Me' });
    expect(row).toMatchObject({ address: ONE, password: 'secret', enabled: 1, operator: 'Me' });
    expect([servers.approves(parseServerAddress(ONE)), servers.approves(parseServerAddress(TWO))]).toEqual([
      true,
      false,
    ]);
    expect(servers.put(parseServerAddress(ONE), {})).toEqual(row);
    expect(servers.list()).toHaveLength(1);
    expect(servers.withPassword(parseServerAddress(ONE)).password).toBe('secret');
    const own = parseServerAddress(`xftp://${FINGERPRINT}:other@one.example`);
    expect(servers.withPassword(own).password).toBe('other');
    expect(servers.withPassword(parseServerAddress(TWO)).password).toBeUndefined();
  });

  it('changes what it is told and leaves the rest', async () => {
    const servers = new ServerStore(await testDatabase(), fakeClock());
    const { id } = servers.put(parseServerAddress(`xftp://${FINGERPRINT}:secret@one.example`), {
      operator: 'Me',
    });
    servers.put(parseServerAddress(TWO), {});
    expect(servers.update(id, { enabled: false })).toMatchObject({
      enabled: 0,
      password: 'secret',
      operator: 'Me',
    });
    expect(servers.forUpload().map(({ hosts }) => hosts[0].text)).toEqual(['two.example']);
    expect(servers.update(id, { enabled: true, password: null })).toMatchObject({
      enabled: 1,
      password: null,
    });
    expect(servers.update(id, { operator: null, password: 'new' })).toMatchObject({
      password: 'new',
      operator: null,
    });
    for (const password of ['', 'x'.repeat(300), 'a@b/c:d', 'a b'])
      expect(() => servers.update(id, { enabled: false, password })).toThrow(failing('INVALID_ADDRESS'));
    expect(servers.forUpload().map(({ password }) => password)).toEqual(['new', undefined]);
    const changed = servers.update(id, { enabled: false, priority: 2 });
    const newer = parseServerAddress(`xftp://${FINGERPRINT}:newer@one.example`);
    expect(servers.ensure(newer)).toEqual({ ...changed, password: 'newer' });
    servers.remove(id);
    expect(servers.list().map(({ address }) => address)).toEqual([TWO]);
    for (const act of [
      () => servers.row(id),
      () => servers.update(id, {}),
      () => {
        servers.remove(id);
      },
    ])
      expect(act).toThrow(failing('NOT_FOUND'));
    expect(() => servers.parseList([ONE, 'nonsense'])).toThrow(failing('INVALID_ADDRESS'));
  });

  it('sends through those with that role, and approves downloads from those with the other', async () => {
    const servers = new ServerStore(await testDatabase(), fakeClock());
    const [one, two] = [parseServerAddress(ONE), parseServerAddress(TWO)];
    const uploads = servers.put(one, { roles: ['upload'] });
    const downloads = servers.put(two, { roles: ['download-approved'], priority: 3 });
    const hosts = (): string[] => servers.forUpload().map(({ hosts }) => hosts[0].text);
    expect([hosts(), servers.approves(one), servers.approves(two)]).toEqual([['one.example'], false, true]);
    // As at a start with the same options: what a client has said of it stays.
    servers.put(two, {});
    expect([rolesOf(servers.row(downloads.id)), servers.priorityOf(two)]).toEqual([['download-approved'], 3]);
    servers.update(uploads.id, { roles: [] });
    servers.update(downloads.id, { roles: ['upload', 'download-approved'], priority: -3 });
    expect([hosts(), servers.approves(one), servers.approves(two)]).toEqual([['two.example'], false, true]);
    expect([servers.priorityOf(one), servers.priorityOf(two)]).toEqual([0, -3]);
  });

  it('counts what was asked of servers, those that are not in it too', async () => {
    const clock = fakeClock();
    const servers = new ServerStore(await testDatabase(), clock);
    expect(servers.stats()).toEqual([]);
    servers.recordSuccess(ONE, 'upload', { bytes: 1000, ms: 10.4 });
    servers.recordSuccess(ONE, 'upload', { bytes: 500, ms: 20 });
    servers.recordFailure(ONE, 'upload', 'temporary');
    clock.advance(5);
    servers.recordFailure(ONE, 'create', 'temporary');
    servers.recordFailure(TWO, 'download', 'gone');
    expect(servers.stats()).toEqual([
      {
        address: ONE,
        actions: [
          { action: 'create', attempts: 1, successes: 0, bytes: 0, meanMs: 0 },
          { action: 'upload', attempts: 3, successes: 2, bytes: 1500, meanMs: 15 },
        ],
        failures: [{ kind: 'temporary', count: 2, lastAt: clock.now() }],
      },
      {
        address: TWO,
        actions: [{ action: 'download', attempts: 1, successes: 0, bytes: 0, meanMs: 0 }],
        failures: [{ kind: 'gone', count: 1, lastAt: clock.now() }],
      },
    ]);
  });
});

describe('what relays have to be told', () => {
  const task = (id: number, more: { transferId?: string; server?: string; action?: 'acknowledge' } = {}) =>
    ({
      action: 'delete',
      server: ONE,
      accessId: Uint8Array.of(id),
      accessKey: Uint8Array.of(0),
      ...more,
    }) as const;

  it('is kept once, by server, oldest first, for the life of a chunk', async () => {
    const clock = fakeClock();
    const tasks = new RelayTaskStore(await testDatabase(), clock);
    expect(tasks.add(task(1))).toBe(true);
    expect(tasks.add(task(1))).toBe(false);
    expect(tasks.add(task(1, { action: 'acknowledge' }))).toBe(true);
    for (const id of [2, 3]) tasks.add(task(id));
    tasks.add(task(4, { server: TWO }));
    expect(tasks.servers().sort()).toEqual([ONE, TWO]);
    const [first, second, ...others] = tasks.next(ONE, 3);
    expect(first).toMatchObject({ action: 'delete', deadline: clock.now() + 48 * 3600_000 });
    expect(second?.action).toBe('acknowledge');
    expect(others.map(({ access_id: id }) => [...id])).toEqual([[2]]);
    tasks.remove(first!.id);
    expect(tasks.count()).toBe(4);
    expect(tasks.add(task(1))).toBe(true);
  });

  it('is counted for each transfer', async () => {
    const tasks = new RelayTaskStore(await testDatabase(), fakeClock());
    for (const id of [1, 2]) tasks.add(task(id, { transferId: 'one' }));
    tasks.add(task(3, { transferId: 'one', action: 'acknowledge' }));
    tasks.add(task(4));
    expect([tasks.countOf('one', 'delete'), tasks.countOf('one', 'acknowledge')]).toEqual([2, 1]);
    expect([tasks.countOf('two', 'delete'), tasks.count()]).toEqual([0, 4]);
  });
});
