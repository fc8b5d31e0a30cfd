import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { testRpc } from '../support/rpc-client.js';
import { temporaryFolder } from '../support/temporary-folder.js';

describe('A token with folders', () => {
  it('sends only from them; neither dots nor links lead out', async () => {
    const home = await temporaryFolder();
    const inside = join(home, 'inside');
    await mkdir(join(inside, 'deep'), { recursive: true });
    await mkdir(join(home, 'inside-not'));
    await writeFile(join(inside, 'file'), 'x');
    await writeFile(join(home, 'secret'), 'x');
    await writeFile(join(home, 'inside-not/secret'), 'x');
    await symlink(join(home, 'secret'), join(inside, 'link'));
    await symlink(home, join(inside, 'up'));
    await symlink(join(inside, 'file'), join(inside, 'alias'));
    const { agent, client } = await testRpc();
    const caller = await client('submit', [inside]);
    const codeFor = async (path: string): Promise<string | undefined> =>
      (await caller.call('transfers.send', { path })).error?.data.code as string | undefined;

    for (const path of [
      join(home, 'secret'),
      join(home, 'missing'),
      join(home, 'inside-not/secret'),
      `${inside}/../secret`,
      `${inside}/deep/../../secret`,
      join(inside, 'link'),
      join(inside, 'up/secret'),
      '/etc/passwd',
      home,
    ])
      expect([path, await codeFor(path)]).toEqual([path, 'FORBIDDEN']);
    expect(await codeFor(join(inside, 'missing'))).toBe('SOURCE_MISSING');
    expect(agent.received).toEqual([]);

    expect(await codeFor(`${inside}/deep/../file`)).toBeUndefined();
    expect(await codeFor(join(inside, 'alias'))).toBeUndefined();
    const params = { path: join(inside, 'file') };
    expect(agent.received.map(({ params: each }) => each)).toEqual([
      { ...params, fileName: 'file' },
      { ...params, fileName: 'alias' },
    ]);
  });

  it('receives only into them, into the first unless told', async () => {
    const home = await temporaryFolder();
    const folders = [join(home, 'a'), join(home, 'b')];
    for (const folder of folders) await mkdir(folder);
    await symlink(home, join(home, 'a/up'));
    const { agent, client } = await testRpc();
    const caller = await client('submit', folders);
    const receive = async (directory?: string): Promise<unknown> =>
      (await caller.call('transfers.receive', { description: 'yaml', directory })).error?.data.code;
    expect(await receive(home)).toBe('FORBIDDEN');
    expect(await receive(join(home, 'a/up'))).toBe('FORBIDDEN');
    expect(await receive(join(home, 'a/missing'))).toBe('SOURCE_MISSING');
    expect(await receive(join(home, 'b'))).toBeUndefined();
    expect(await receive()).toBeUndefined();
    expect(agent.received.map(({ params }) => params)).toMatchObject([
      { directory: folders[1] },
      { directory: folders[0] },
    ]);
  });
});

describe('A token with folders, where a link leads out', () => {
  it('is not told what is there', async () => {
    const home = await temporaryFolder();
    const inside = join(home, 'inside');
    await mkdir(join(inside, 'deep'), { recursive: true });
    await mkdir(join(home, 'there'));
    await writeFile(join(inside, 'file'), 'x');
    await symlink('/', join(inside, 'root'));
    await symlink('..', join(inside, 'up'));
    await symlink('nowhere', join(inside, 'dangling'));
    await symlink('circle', join(inside, 'circle'));
    for (const name of ['there', 'missing']) {
      await symlink(join(home, name), join(inside, `absolute-${name}`));
      await symlink(`../${name}`, join(inside, `relative-${name}`));
      await symlink(`up/${name}/../inside/file`, join(inside, `back-${name}`));
    }
    const { client } = await testRpc();
    const caller = await client('submit', [inside]);
    const codeFor = async (path: string): Promise<string | undefined> =>
      (await caller.call('transfers.send', { path })).error?.data.code as string | undefined;
    for (const name of ['there', 'missing'])
      for (const path of [
        `${inside}/root${home}/${name}`,
        `${inside}/root${home}/${name}/deeper`,
        `${inside}/up/${name}`,
        `${inside}/absolute-${name}`,
        `${inside}/absolute-${name}/deeper`,
        `${inside}/relative-${name}`,
        `${inside}/back-${name}`,
        join(home, name),
      ])
        expect([path, await codeFor(path)]).toEqual([path, 'FORBIDDEN']);
    expect(await codeFor(join(inside, 'circle'))).toBe('FORBIDDEN');
    for (const name of ['dangling', 'missing', 'missing/deeper', 'deep/missing', 'file/deeper'])
      expect([name, await codeFor(join(inside, name))]).toEqual([name, 'SOURCE_MISSING']);
  });
});

describe("A token with folders and other tokens' transfers", () => {
  it('do not meet, in calls or in events', async () => {
    const inside = await temporaryFolder();
    await writeFile(join(inside, 'file'), 'x');
    const { agent, client } = await testRpc();
    const all = await client();
    const own = await client('submit', [inside]);
    const { id: others } = (await all.call('transfers.send', { path: '/their/file' })).result;
    await own.call('events.subscribe', { since: 0 });
    await own.call('events.subscribe');
    const { id } = (await own.call('transfers.send', { path: join(inside, 'file') })).result;
    agent.progress(others as string, 1);
    agent.progress(id as string, 1);
    await all.call('transfers.pause', { id: others });

    const codeOf = async (method: string, params: object): Promise<unknown> =>
      (await own.call(method, params)).error?.data.code;
    for (const method of [
      ...['get', 'pause', 'resume', 'cancel', 'retry', 'approve', 'remove', 'descriptions', 'revoke'],
      ...['setPriority', 'setLimit', 'addRecipients'],
    ]) {
      const more = {
        setPriority: { priority: 1 },
        setLimit: { bytesPerSecond: null },
        addRecipients: { count: 1 },
      }[method];
      const call = [`transfers.${method}`, { id: others as string, ...more }] as const;
      expect([method, await codeOf(...call)]).toEqual([method, 'NOT_FOUND']);
    }
    expect((await own.call('transfers.get', { id })).result.id).toBe(id);
    const { items } = (await own.call('transfers.list')).result as { items: { id: string }[] };
    expect(items.map((each) => each.id)).toEqual([id]);
    expect((await all.call('transfers.list')).result.items).toHaveLength(2);
    const { events } = (await own.call('events.list')).result as { events: { transferId: string }[] };
    expect(events.map((each) => each.transferId)).toEqual([id]);
    const told = own.messages.flat().map(({ params }) => params.transferId as string);
    expect(told).toHaveLength(4);
    expect(new Set(told)).toEqual(new Set([id]));
    expect(JSON.stringify(own.messages)).not.toContain('/their/file');
  });
});
