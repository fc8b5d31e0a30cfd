import { randomBytes } from 'node:crypto';
import {
  existsSync,
  linkSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { SYSTEM_CLOCK } from '#src/agent/index.js';
import { Database } from '#src/agent/database.js';
import { ReceiveStore } from '#src/agent/detail-stores.js';
import type { ReceiveParams } from '#src/agent/model.js';
import { XftpError } from '#src/protocol/index.js';
import { CALLER, fakeClock, type TestAgent, testAgent } from './agent-samples.js';
import { countedRelay } from './relay-samples.js';

const HOUR_MS = 3600_000;

interface Setting {
  readonly agent: TestAgent;
  readonly content: Buffer;
  readonly clock: ReturnType<typeof fakeClock>;
  /** Receives the file, and does something in the moment in which the file is about to get its name. */
  readonly receive: (
    whenPlaced: (agent: TestAgent, id: string) => void,
    params?: Partial<ReceiveParams>,
  ) => Promise<string>;
}

async function setting(): Promise<Setting> {
  const relay = await countedRelay();
  const wall = fakeClock(Date.now());
  const clock = { ...wall, monotonic: SYSTEM_CLOCK.monotonic };
  const agent = await testAgent({ servers: [relay.address], clock });
  const path = join(agent.folder, 'sample.bin');
  const content = randomBytes(1000);
  writeFileSync(path, content);
  const sent = await agent.send({ path, redirect: 'never' }, CALLER);
  await agent.reached(sent.id, 'completed');
  const { description } = (await agent.descriptions(sent.id)).recipients[0]!;
  const receive: Setting['receive'] = async (whenPlaced, params) => {
    let placed = false;
    // eslint-disable-next-line @typescript-eslint/unbound-method -- it is called on the store below
    const setChosen = ReceiveStore.prototype.setChosen;
    const spy = vi.spyOn(ReceiveStore.prototype, 'setChosen').mockImplementation(function (
      this: ReceiveStore,
      id,
      chosen,
    ) {
      setChosen.call(this, id, chosen);
      if (placed) return;
      placed = true;
      whenPlaced(agent, id);
    });
    onTestFinished(() => {
      spy.mockRestore();
    });
    const { id } = await agent.receive({ description, ...params }, CALLER);
    await agent.until(() => placed);
    return id;
  };
  return { agent, content, clock: wall, receive };
}

const filesOf = ({ downloads }: TestAgent): string[] => readdirSync(downloads).sort();

/** Resolves when nothing but the part file is there. */
async function takenBack(agent: TestAgent, id: string): Promise<void> {
  await agent.until(() => {
    const files = filesOf(agent);
    return files.length === 1 && files[0] === `.${id}.part`;
  });
}

describe('a receive that is stopped while its file gets its name', () => {
  it('by a pause has no file under that name until it goes on', async () => {
    const { agent, content, receive } = await setting();
    const id = await receive((each, receiveId) => each.pause(receiveId));
    await takenBack(agent, id);
    expect(agent.get(id).state).toBe('paused');
    agent.resume(id);
    const { path = '' } = await agent.reached(id, 'completed');
    expect(readFileSync(path).equals(content)).toBe(true);
    expect(filesOf(agent)).toEqual(['sample.bin']);
    expect(agent.errors).toEqual([]);
  });

  it('by a pause and a cancel leaves nothing', async () => {
    const { agent, receive } = await setting();
    const id = await receive((each, receiveId) => each.pause(receiveId));
    await takenBack(agent, id);
    agent.cancel(id);
    await agent.until(() => filesOf(agent).length === 0);
    agent.retry(id);
    await agent.reached(id, 'completed');
    expect(filesOf(agent)).toEqual(['sample.bin']);
  });

  it.each(['rename', 'fail'] as const)(
    'by a pause, fails at its deadline and is retried, has one file (%s)',
    async (onConflict) => {
      const { agent, clock, receive } = await setting();
      const id = await receive((each, receiveId) => each.pause(receiveId), { onConflict });
      await takenBack(agent, id);
      clock.advance(100 * HOUR_MS);
      const again = await agent.reopen();
      expect(again.get(id).failure?.code).toBe('DEADLINE_PASSED');
      again.retry(id);
      await again.reached(id, 'completed');
      expect(filesOf(again)).toEqual(['sample.bin']);
    },
  );

  it.each(['cancelled', 'removed'])('and is %s leaves nothing', async (how) => {
    const { agent, receive } = await setting();
    const id = await receive((each, receiveId) => {
      if (how === 'removed') each.remove(receiveId, { cancel: true });
      else each.cancel(receiveId);
    });
    await agent.until(() => filesOf(agent).length === 0);
    if (how === 'cancelled') agent.remove(id);
    await agent.stop();
    expect(filesOf(agent)).toEqual([]);
    expect(agent.errors).toEqual([]);
  });

  it('never takes a file of others away', async () => {
    const { agent, receive } = await setting();
    const taken = join(agent.downloads, 'sample.bin');
    const id = await receive((each, receiveId) => {
      writeFileSync(taken, 'theirs');
      each.cancel(receiveId);
    });
    await agent.until(() => !filesOf(agent).includes(`.${id}.part`));
    await agent.stop();
    expect(filesOf(agent)).toEqual(['sample.bin']);
    expect(readFileSync(taken, 'utf8')).toBe('theirs');
  });
});

describe('a receive that overwrites a file and is stopped in that moment', () => {
  async function stopped(stop: 'pause' | 'cancel'): Promise<Setting & { id: string; path: string }> {
    const set = await setting();
    const path = join(set.agent.downloads, 'sample.bin');
    writeFileSync(path, 'old');
    const id = await set.receive((each, receiveId) => each[stop](receiveId), { onConflict: 'overwrite' });
    await set.agent.until(() => !existsSync(join(set.agent.downloads, `.${id}.part`)));
    return { ...set, id, path };
  }

  it('by a cancel has the new file there, whole', async () => {
    const { agent, content, path } = await stopped('cancel');
    await agent.stop();
    expect(readFileSync(path).equals(content)).toBe(true);
    expect(agent.errors).toEqual([]);
  });

  it('by a pause has the new file there, whole, and is completed when it goes on', async () => {
    const { agent, content, id, path } = await stopped('pause');
    expect(readFileSync(path).equals(content)).toBe(true);
    agent.resume(id);
    await agent.reached(id, 'completed');
    expect(readFileSync(path).equals(content)).toBe(true);
    expect(filesOf(agent)).toEqual(['sample.bin']);
  });
});

describe('a receive whose disk is full when its file gets its name', () => {
  it('waits, and is completed when there is room', async () => {
    const { agent, content, receive } = await setting();
    const id = await receive(() => {
      throw new XftpError('DISK_FULL', 'The disk is full.');
    });
    const { path = '' } = await agent.reached(id, 'completed');
    expect(readFileSync(path).equals(content)).toBe(true);
    const told = agent.events.filter(({ type }) => type === 'transfer.state');
    expect(told.some(({ data }) => 'waitingReason' in data && data.waitingReason === 'disk')).toBe(true);
  });
});

describe('a receive that was paused, and the agent killed, while its file got its name', () => {
  /** As a crash leaves it after the new name, before or after the end of the old one. */
  async function killed(both: boolean): Promise<{ agent: TestAgent; id: string; clock: Setting['clock'] }> {
    const { agent, clock, content, receive } = await setting();
    const id = await receive((each, receiveId) => each.pause(receiveId));
    await takenBack(agent, id);
    await agent.stop();
    const [part, path] = [join(agent.downloads, `.${id}.part`), join(agent.downloads, 'sample.bin')];
    // Cut to the content before it gets the name, which the pause may have come before.
    truncateSync(part, content.length);
    linkSync(part, path);
    if (!both) rmSync(part);
    const database = new Database(join(agent.dataDir, 'agent.sqlite'));
    new ReceiveStore(database).setChosen(id, path);
    database.close();
    return { agent, id, clock };
  }

  it('leaves nothing when it is cancelled and both names are there', async () => {
    const { agent, id } = await killed(true);
    const again = await agent.reopen();
    again.cancel(id);
    await again.until(() => filesOf(again).length === 0);
  });

  it.each([true, false])(
    'has one file when it is retried after its deadline (both names: %s)',
    async (both) => {
      const { agent, id, clock } = await killed(both);
      clock.advance(100 * HOUR_MS);
      const again = await agent.reopen();
      expect(again.get(id).failure?.code).toBe('DEADLINE_PASSED');
      again.retry(id);
      await again.reached(id, 'completed');
      expect(filesOf(again)).toEqual(['sample.bin']);
    },
  );

  it('is downloaded again when the file was moved away', async () => {
    const { agent, id, clock } = await killed(false);
    rmSync(join(agent.downloads, 'sample.bin'));
    clock.advance(100 * HOUR_MS);
    const again = await agent.reopen();
    again.retry(id);
    await again.until(() => again.get(id).state === 'failed');
    expect(again.get(id).failure?.code).toBe('SOURCE_MISSING');
    again.retry(id);
    await again.reached(id, 'completed');
    expect(filesOf(again)).toEqual(['sample.bin']);
  });
});
