import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';

import { SYSTEM_CLOCK } from '#src/agent/index.js';
import { startFaultProxy } from '../support/fault-proxy.js';
import { CALLER, fakeClock, type TestAgent, testAgent } from './agent-samples.js';
import { type CountedRelay, countedRelay } from './relay-samples.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Relays keep chunks for two days. */
const LIFE_MS = 48 * HOUR_MS;
/** Five chunks. */
const FIVE_CHUNKS = 700_000;

interface Setting {
  readonly relay: CountedRelay;
  readonly agent: TestAgent;
  readonly path: string;
  /** From now on connections are cut after so many bytes of requests; none is when it is undefined. */
  readonly cutAfter: (bytes: number | undefined) => void;
  /** Moves the clock and has the deadlines looked at. */
  readonly pass: (ms: number) => void;
  readonly now: () => number;
}

/** An agent with a clock that is moved by hand, and a source. */
async function setting(size = 1000): Promise<Setting> {
  const wall = fakeClock(Date.now());
  const relay = await countedRelay();
  const proxy = await startFaultProxy(relay.port);
  const address = relay.address.replace(`:${String(relay.port)}`, `:${String(proxy.port)}`);
  const agent = await testAgent({
    servers: [address],
    clock: { now: wall.now, monotonic: SYSTEM_CLOCK.monotonic },
    gatePauses: { firstMs: 10, longestMs: 20 },
  });
  const path = join(agent.folder, 'source.bin');
  writeFileSync(path, randomBytes(size));
  return {
    relay,
    agent,
    path,
    cutAfter: (after) => {
      proxy.setFault(after === undefined ? undefined : { type: 'cut', direction: 'up', after });
      proxy.cutAll();
    },
    pass: (ms) => {
      wall.advance(ms);
      vi.advanceTimersByTime(MINUTE_MS / 2);
    },
    now: wall.now,
  };
}

/** The link of a send leads to the file. */
async function expectReceived(agent: TestAgent, id: string): Promise<void> {
  const { path: source } = agent.get(id);
  const [first] = (await agent.descriptions(id)).recipients;
  const { id: receiving } = await agent.receive({ link: first!.link }, CALLER);
  const { path: target } = await agent.reached(receiving, 'completed');
  expect(Buffer.compare(readFileSync(target!), readFileSync(source!))).toBe(0);
}

/** Cuts the way to the relay when it has a chunk of a send, but not all of them. */
async function cutHalfway(agent: TestAgent, id: string, cutAfter: Setting['cutAfter']): Promise<void> {
  agent.setSettings({ chunksPerServer: 1, uploadLimit: FIVE_CHUNKS });
  await agent.until(() => agent.get(id).chunksDone > 0);
  cutAfter(0);
  await agent.until(() => agent.get(id).state === 'waiting');
  agent.setSettings({ uploadLimit: null });
}

const snapshotsOf = ({ dataDir }: TestAgent): string[] => readdirSync(join(dataDir, 'snapshots'));

beforeEach(() => {
  // Only what happens every so often is faked: the deadlines are looked at in intervals.
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
});

describe('a retry after the deadline', () => {
  it('keeps the copy of the source, however soon it comes', async () => {
    const { agent, path, pass, now } = await setting();
    agent.setNetwork({ online: false });
    const { id } = await agent.send({ path, redirect: 'never', deadline: now() + MINUTE_MS }, CALLER);
    await agent.reached(id, 'waiting');
    rmSync(path);
    pass(MINUTE_MS);
    expect(agent.get(id).failure?.code).toBe('DEADLINE_PASSED');
    agent.retry(id);
    agent.setNetwork({ online: null });
    expect(await agent.reached(id, 'completed')).toMatchObject({ run: 2 });
    await agent.until(() => snapshotsOf(agent).length === 0);
    expect(existsSync(path)).toBe(false);
  });

  it('gives its new deadline to the descriptions that are stored for it', async () => {
    const { agent, path, pass, cutAfter, now } = await setting();
    const { id } = await agent.send(
      { path, redirect: 'always', recipients: 2, deadline: now() + MINUTE_MS },
      CALLER,
    );
    // The file itself is on the relay, the descriptions are not.
    await agent.until(() => agent.get(id).chunksDone === 1 && agent.get(id).state === 'uploading');
    cutAfter(0);
    pass(MINUTE_MS);
    expect(agent.get(id).failure?.code).toBe('DEADLINE_PASSED');
    cutAfter(undefined);
    agent.retry(id);
    await agent.reached(id, 'completed');
    expect((await agent.descriptions(id)).recipients.map(({ redirect }) => redirect)).toEqual([true, true]);
  });
});

describe('a send that takes longer than relays keep chunks', () => {
  it('gives them again what they may have dropped', async () => {
    const { agent, relay, path, pass, cutAfter, now } = await setting(FIVE_CHUNKS);
    const { id } = await agent.send({ path, redirect: 'never' }, CALLER);
    await cutHalfway(agent, id, cutAfter);
    const { chunksDone, chunksTotal } = agent.get(id);
    expect(chunksDone).toBeLessThan(chunksTotal);
    pass(LIFE_MS);
    expect(agent.get(id).failure?.code).toBe('DEADLINE_PASSED');
    cutAfter(undefined);
    agent.retry(id);
    const { expiresAt } = await agent.reached(id, 'completed');
    expect(expiresAt).toBe(now() + LIFE_MS);
    await expectReceived(agent, id);
    await agent.until(() => relay.chunks() === chunksTotal);
  });

  it('is not completed with what they may have dropped meanwhile', async () => {
    const { agent, path, pass, cutAfter, now } = await setting(FIVE_CHUNKS);
    const { id } = await agent.send({ path, redirect: 'never', deadline: now() + 3 * LIFE_MS }, CALLER);
    await cutHalfway(agent, id, cutAfter);
    pass(LIFE_MS);
    cutAfter(undefined);
    expect((await agent.reached(id, 'completed')).expiresAt).toBe(now() + LIFE_MS);
    await expectReceived(agent, id);
  });

  it('makes the descriptions again that are stored for it', async () => {
    const { agent, relay, path, pass, cutAfter, now } = await setting();
    const { id } = await agent.send({ path, redirect: 'always' }, CALLER);
    await agent.until(() => agent.get(id).chunksDone === 1 && agent.get(id).state === 'uploading');
    cutAfter(0);
    pass(LIFE_MS);
    cutAfter(undefined);
    agent.retry(id);
    expect((await agent.reached(id, 'completed')).expiresAt).toBe(now() + LIFE_MS);
    await expectReceived(agent, id);
    // The file, and its description.
    await agent.until(() => relay.chunks() === 2 && snapshotsOf(agent).length === 0);
  });
});

describe('a send whose stored description is not complete when relays may have dropped its chunks', () => {
  it('goes on when it is resumed, with a description that is made again', async () => {
    const { agent, path, pass, cutAfter, now } = await setting();
    const deadline = now() + 3 * LIFE_MS;
    const { id } = await agent.send({ path, redirect: 'always', deadline }, CALLER);
    await agent.until(() => agent.get(id).chunksDone === 1 && agent.get(id).state === 'uploading');
    cutAfter(0);
    agent.pause(id);
    pass(LIFE_MS);
    cutAfter(undefined);
    agent.resume(id);
    expect((await agent.reached(id, 'completed')).expiresAt).toBe(now() + LIFE_MS);
    await expectReceived(agent, id);
    await agent.until(() => snapshotsOf(agent).length === 0);
  });
});

describe('a send whose relay could not be reached for two days', () => {
  it('gives it each chunk once', async () => {
    const { agent, relay, path, pass, cutAfter } = await setting();
    cutAfter(0);
    const { id } = await agent.send({ path, redirect: 'never' }, CALLER);
    await agent.reached(id, 'waiting');
    pass(LIFE_MS);
    cutAfter(undefined);
    agent.retry(id);
    await agent.reached(id, 'completed');
    expect(await relay.counts()).toMatchObject({ FNEW: 1, FPUT: 1 });
  });
});

describe('recipients that are added long after the deadline of the send', () => {
  it('get stored descriptions', async () => {
    const { agent, path, pass, now } = await setting();
    const deadline = now() + MINUTE_MS;
    const { id } = await agent.send({ path, redirect: 'always', recipients: 3, deadline }, CALLER);
    await agent.reached(id, 'completed');
    await agent.until(() => snapshotsOf(agent).length === 0);
    pass(HOUR_MS);
    agent.setNetwork({ online: false });
    const added = agent.addRecipients(id, 1);
    await agent.until(() => snapshotsOf(agent).length === 1);
    pass(HOUR_MS);
    agent.setNetwork({ online: null });
    let ended = false;
    void added.finally(() => (ended = true)).catch(() => undefined);
    await agent.until(() => ended);
    const { recipients } = await added;
    expect(recipients.map(({ redirect }) => redirect)).toEqual([true, true, true, true]);
  });
});
