import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { DataFolder } from '#src/agent/data-folder.js';
import { failing } from '../crypto/expected-failure.js';
import { PACKAGE_FOLDER, type RunningProgram, startCommand } from '../support/program.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { CALLER, testAgent } from './agent-samples.js';
import { countedRelay } from './relay-samples.js';

/** A process that has opened the folder and waits. */
async function otherAgent(path: string): Promise<RunningProgram> {
  const module = join(PACKAGE_FOLDER, 'dist/agent/index.js');
  const program = `
    const { openAgent } = await import(${JSON.stringify(module)});
    const [dataDir] = process.argv.slice(1);
    await openAgent({ dataDir, downloadsDir: dataDir, version: '0.0.0-test' });
    console.log('open');
    setInterval(() => undefined, 1000);`;
  const running = startCommand([process.execPath, '--input-type=module', '-e', program, path]);
  await running.printed(/open/);
  return running;
}

describe('the data folder', () => {
  it('is one process’s: a second one is refused, naming the first', async () => {
    const path = join(await temporaryFolder(), 'agent');
    const { pid } = await otherAgent(path);
    expect(() => new DataFolder(path)).toThrow(failing('ALREADY_RUNNING'));
    expect(() => new DataFolder(path)).toThrow(`(process ${String(pid)})`);
    await expect(testAgent({}, join(path, '..'))).rejects.toThrow(failing('ALREADY_RUNNING'));
  });

  it('stays one process’s when somebody removes its lock', async () => {
    const path = join(await temporaryFolder(), 'agent');
    const { end } = await otherAgent(path);
    rmSync(join(path, 'lock'));
    expect(() => new DataFolder(path)).toThrow(failing('ALREADY_RUNNING'));
    await end('SIGKILL');
    new DataFolder(path).unlock();
  });

  it('is free again when the first one was killed', async () => {
    const path = join(await temporaryFolder(), 'agent');
    const { end } = await otherAgent(path);
    await end('SIGKILL');
    const agent = await testAgent({}, join(path, '..'));
    expect(readFileSync(join(path, 'agent.pid'), 'utf8').trim()).toBe(String(process.pid));
    await agent.stop();
  });

  it('is one agent’s in the same process too, until it stops', async () => {
    const agent = await testAgent();
    await expect(testAgent({}, agent.folder)).rejects.toThrow(failing('ALREADY_RUNNING'));
    await agent.reopen();
  });

  it('is taken from the eyes of others when it was there before', async () => {
    const path = await temporaryFolder();
    chmodSync(path, 0o755);
    new DataFolder(path).unlock();
    expect(statSync(path).mode & 0o777).toBe(0o700);
  });

  it('that cannot be made is refused with a sentence', async () => {
    const path = join(await temporaryFolder(), 'file');
    writeFileSync(path, '');
    expect(() => new DataFolder(join(path, 'agent'))).toThrow(/\.$/);
    expect(() => new DataFolder(path)).toThrow(expect.objectContaining({ name: 'XftpError' }) as Error);
  });
});

describe('the token for clients on this machine', () => {
  const tokenOf = (dataDir: string): string => readFileSync(join(dataDir, 'token'), 'utf8').trim();

  it('is in a file for its owner, may do everything, and stays the same', async () => {
    const agent = await testAgent();
    const path = join(agent.dataDir, 'token');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const token = tokenOf(agent.dataDir);
    expect(agent.authenticate(token)).toMatchObject({ scope: 'admin' });
    const again = await agent.reopen();
    expect(tokenOf(again.dataDir)).toBe(token);
    expect(again.listTokens()).toHaveLength(1);
  });

  it.each<[string, (path: string) => void]>([
    ['lost', rmSync],
    [
      'another one',
      (path) => {
        writeFileSync(path, 'nonsense\n');
        chmodSync(path, 0o644);
      },
    ],
  ])('is made anew when the file is %s', async (_, damage) => {
    const agent = await testAgent();
    const token = tokenOf(agent.dataDir);
    damage(join(agent.dataDir, 'token'));
    const again = await agent.reopen();
    expect(tokenOf(again.dataDir)).not.toBe(token);
    expect(again.authenticate(tokenOf(again.dataDir))).toMatchObject({ scope: 'admin' });
    expect(statSync(join(again.dataDir, 'token')).mode & 0o777).toBe(0o600);
  });
});

describe('copies of sources', () => {
  it('that no transfer needs are removed at the start, the others stay', async () => {
    const agent = await testAgent({
      servers: ['xftp://AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=@127.0.0.1:1'],
    });
    const source = join(agent.folder, 'source');
    writeFileSync(source, 'content');
    const { id } = await agent.send({ path: source }, CALLER);
    const snapshots = join(agent.dataDir, 'snapshots');
    expect(readdirSync(snapshots)).toEqual([id]);
    expect(statSync(join(snapshots, id)).mode & 0o777).toBe(0o600);
    await agent.stop();
    writeFileSync(join(snapshots, 'left-over'), '');
    mkdirSync(join(snapshots, 'folder'));
    const again = await agent.reopen();
    expect(readdirSync(snapshots).sort()).toEqual([id, 'folder'].sort());
    again.remove(id, { cancel: true });
    await again.until(() => !existsSync(join(snapshots, id)));
  });

  it.each(['through a symbolic link', 'as a copy, beside the old one', 'as a copy, without the old one'])(
    'are found when the folder is reached %s',
    async (way) => {
      const relay = await countedRelay();
      const agent = await testAgent({ servers: [relay.address] });
      const source = join(agent.folder, 'source');
      writeFileSync(source, 'content');
      agent.setNetwork({ online: false });
      const { id } = await agent.send({ path: source, redirect: 'always' }, CALLER);
      await agent.stop();
      rmSync(source);
      const home = await temporaryFolder();
      if (way.includes('link')) symlinkSync(agent.dataDir, join(home, 'agent'));
      else cpSync(agent.dataDir, join(home, 'agent'), { recursive: true });
      if (way.includes('without')) rmSync(agent.dataDir, { recursive: true });
      const again = await testAgent({ servers: [relay.address] }, home);
      // It has not come as far as the relay.
      expect(readdirSync(join(again.dataDir, 'snapshots'))).toEqual([id]);
      await again.reached(id, 'completed');
      await again.until(() => readdirSync(join(again.dataDir, 'snapshots')).length === 0);
      if (way.includes('beside')) expect(readdirSync(join(agent.dataDir, 'snapshots'))).toEqual([id]);
    },
  );
});
