import { randomBytes } from 'node:crypto';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import type { Caller } from '#src/agent/index.js';
import { failing } from '../crypto/expected-failure.js';
import { CALLER, type TestAgent, testAgent } from './agent-samples.js';
import { countedRelay } from './relay-samples.js';

const KIB = 1024;

interface Sample {
  readonly agent: TestAgent;
  /** The folder of the token. */
  readonly box: string;
  /** A file outside of it. */
  readonly secret: string;
  readonly caller: Caller;
}

/** An agent, and a token with a folder. */
async function sample(): Promise<Sample> {
  const relay = await countedRelay();
  const agent = await testAgent({ servers: [relay.address] });
  const box = join(agent.folder, 'box');
  mkdirSync(box);
  const secret = join(agent.folder, 'secret');
  writeFileSync(secret, 'a secret');
  const { id } = agent.createToken({ name: 'boxed', scope: 'submit', folders: [box] });
  return { agent, box, secret, caller: { tokenId: id, folders: [box] } };
}

/** The copy of a cancelled send was removed. */
async function copyGone({ dataDir, until }: TestAgent): Promise<void> {
  await until(() => readdirSync(join(dataDir, 'snapshots')).length === 0);
}

/** Chunks of nothing secret, and a description to get them by. */
async function stored(agent: TestAgent): Promise<{ description: string; content: Buffer }> {
  const path = join(agent.folder, 'stored.bin');
  const content = randomBytes(100 * KIB);
  writeFileSync(path, content);
  const { id } = await agent.send({ path }, CALLER);
  await agent.reached(id, 'completed');
  return { description: (await agent.descriptions(id)).recipients[0]?.description ?? '', content };
}

describe('a send of a token with folders', () => {
  it('is always one of a copy', async () => {
    const { agent, box, caller } = await sample();
    writeFileSync(join(box, 'file'), 'x');
    const params = { path: join(box, 'file'), snapshot: false };
    await expect(agent.send(params, caller)).rejects.toThrow(failing('FORBIDDEN'));
    const { tokenId } = caller;
    await agent.send(params, { tokenId });
  });

  it('does not read what is not in them, when it is taken on', async () => {
    const { agent, box, secret, caller } = await sample();
    symlinkSync(secret, join(box, 'link'));
    symlinkSync(agent.folder, join(box, 'up'));
    for (const path of [secret, join(box, 'link'), join(box, 'up/secret')])
      await expect(agent.send({ path }, caller)).rejects.toThrow(failing('FORBIDDEN'));
    expect(readdirSync(join(agent.dataDir, 'snapshots'))).toEqual([]);
  });

  it.each<[string, (sample: Sample) => void]>([
    [
      'a link to a file outside',
      ({ box, secret }) => {
        rmSync(join(box, 'sub/secret'));
        symlinkSync(secret, join(box, 'sub/secret'));
      },
    ],
    [
      'one in a folder that is a link to one outside',
      ({ agent, box }) => {
        rmSync(join(box, 'sub'), { recursive: true });
        symlinkSync(agent.folder, join(box, 'sub'));
      },
    ],
  ])(
    'that is retried after it was cancelled does not read its source when that is %s',
    async (_, replace) => {
      const all = await sample();
      const { agent, box, caller } = all;
      mkdirSync(join(box, 'sub'));
      const path = join(box, 'sub/secret');
      writeFileSync(path, 'harmless');
      agent.setNetwork({ online: false });
      const { id } = await agent.send({ path }, caller);
      agent.cancel(id);
      await copyGone(agent);
      replace(all);
      agent.setNetwork({ online: true });
      agent.retry(id);
      const { failure } = await agent.reached(id, 'failed');
      expect(failure?.code).toBe('FORBIDDEN');
      expect(readdirSync(join(agent.dataDir, 'snapshots'))).toEqual([]);
    },
  );

  it('that is retried after it was cancelled goes on with a new copy, also when its token is no more', async () => {
    const { agent, box, caller } = await sample();
    const path = join(box, 'file');
    const content = randomBytes(100 * KIB);
    writeFileSync(path, content);
    agent.setNetwork({ online: false });
    const { id } = await agent.send({ path }, caller);
    agent.cancel(id);
    await copyGone(agent);
    agent.revokeToken(caller.tokenId);
    agent.setNetwork({ online: true });
    agent.retry(id);
    await agent.reached(id, 'completed');
    const { description = '' } = (await agent.descriptions(id)).recipients[0] ?? {};
    const { id: back } = await agent.receive({ description }, CALLER);
    const received = await agent.reached(back, 'completed');
    expect(readFileSync(received.path ?? '').equals(content)).toBe(true);
    expect(readdirSync(join(agent.dataDir, 'snapshots'))).toEqual([]);
  });
});

describe('a receive of a token with folders', () => {
  it('does not write through a link that came later', async () => {
    const { agent, box, caller } = await sample();
    const { description } = await stored(agent);
    const directory = join(box, 'sub');
    const outside = join(agent.folder, 'outside');
    for (const folder of [directory, outside]) mkdirSync(folder);
    writeFileSync(join(outside, 'name'), 'mine');
    agent.setNetwork({ online: false });
    const { id } = await agent.receive(
      { description, directory, fileName: 'name', onConflict: 'overwrite' },
      caller,
    );
    agent.pause(id);
    rmSync(directory, { recursive: true });
    symlinkSync(outside, directory);
    agent.setNetwork({ online: true });
    agent.resume(id);
    const { failure } = await agent.reached(id, 'failed');
    expect(failure).toMatchObject({ code: 'FORBIDDEN', message: expect.stringContaining(directory) });
    expect(readdirSync(outside)).toEqual(['name']);
    expect(readFileSync(join(outside, 'name'), 'utf8')).toBe('mine');
  });

  it('ends in them, also when a folder was moved within them', async () => {
    const { agent, box, caller } = await sample();
    const { description, content } = await stored(agent);
    const directory = join(box, 'sub');
    mkdirSync(directory);
    writeFileSync(join(directory, 'name'), 'old');
    for (const onConflict of ['rename', 'overwrite'] as const) {
      agent.setNetwork({ online: false });
      const { id } = await agent.receive({ description, directory, fileName: 'name', onConflict }, caller);
      agent.pause(id);
      if (onConflict === 'overwrite') {
        renameSync(directory, join(box, 'moved'));
        symlinkSync('moved', directory);
      }
      agent.setNetwork({ online: true });
      agent.resume(id);
      const { path } = await agent.reached(id, 'completed');
      expect(path).toBe(join(directory, onConflict === 'rename' ? 'name_1' : 'name'));
      expect(readFileSync(path ?? '').equals(content)).toBe(true);
    }
    expect(readdirSync(join(box, 'moved')).sort()).toEqual(['name', 'name_1']);
    expect(agent.errors).toEqual([]);
  });

  it('names the folder as it was given in what goes wrong there', async () => {
    const { agent, box, caller } = await sample();
    const { description } = await stored(agent);
    writeFileSync(join(box, 'name'), 'old');
    const { id } = await agent.receive(
      { description, fileName: 'name', onConflict: 'fail', directory: box },
      caller,
    );
    const { failure } = await agent.reached(id, 'failed');
    expect(failure).toMatchObject({
      code: 'FILE_EXISTS',
      message: `${join(box, 'name')} exists already: choose another name.`,
    });
  });
});

describe('a transfer', () => {
  it('is known to be of its token as long as there are events of it', async () => {
    const { agent, box, caller } = await sample();
    writeFileSync(join(box, 'file'), 'x');
    writeFileSync(join(agent.folder, 'file'), 'x');
    agent.setNetwork({ online: false });
    const { id } = await agent.send({ path: join(box, 'file') }, caller);
    agent.pause(id);
    const other = await agent.send({ path: join(agent.folder, 'file') }, CALLER);
    const { tokenId } = caller;
    expect(agent.list({ tokenId, limit: 10 }).items.map((each) => each.id)).toEqual([id]);
    agent.remove(id, { cancel: true });
    expect([agent.ownerOf(id), agent.ownerOf(other.id), agent.ownerOf('none')]).toEqual([
      tokenId,
      CALLER.tokenId,
      undefined,
    ]);
    const told = agent.listEvents({ tokenId, limit: 100 }).events;
    expect(told.some(({ transferId }) => transferId === other.id)).toBe(false);
    expect(told.filter(({ transferId }) => transferId === id).map(({ type }) => type)).toEqual([
      'transfer.created',
      'transfer.state',
      'transfer.state',
      'transfer.removed',
    ]);
    expect(told.some(({ type }) => type === 'network.changed')).toBe(true);
  });
});
