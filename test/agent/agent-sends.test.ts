import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { withSpares } from '#src/agent/intake.js';
import type { SendParams, TransferInfo } from '#src/agent/model.js';
import { formatDescription, parseDescription, parseLink } from '#src/protocol/index.js';
import { failing } from '../crypto/expected-failure.js';
import { startFaultProxy } from '../support/fault-proxy.js';
import { CALLER, type TestAgent, testAgent } from './agent-samples.js';
import { countedRelay, type CountedRelay } from './relay-samples.js';

const KIB = 1024;

async function agentAndRelay(): Promise<{ agent: TestAgent; relay: CountedRelay }> {
  const relay = await countedRelay();
  return { relay, agent: await testAgent({ servers: [relay.address] }) };
}

/** A source of random content. */
function sourceIn(agent: TestAgent, size: number, name = 'source.bin'): { path: string; content: Buffer } {
  const path = join(agent.folder, name);
  const content = randomBytes(size);
  writeFileSync(path, content);
  return { path, content };
}

async function sent(agent: TestAgent, params: SendParams): Promise<TransferInfo> {
  const { id } = await agent.send(params, CALLER);
  return agent.reached(id, 'completed');
}

/** Receives by a description or a link and gives the content. */
async function received(
  agent: TestAgent,
  source: { description: string } | { link: string },
): Promise<Buffer> {
  const { id } = await agent.receive(source, CALLER);
  const { path = '' } = await agent.reached(id, 'completed');
  return readFileSync(path);
}

describe('a file that is sent', () => {
  it.each([
    [1, 0],
    [3, 1],
    [300, 212],
  ])('to %i recipients comes back by their descriptions, and %i are spare', async (recipients, spare) => {
    const { agent, relay } = await agentAndRelay();
    const { path, content } = sourceIn(agent, 150 * KIB);
    const info = await sent(agent, { path, recipients });
    expect(info).toMatchObject({
      direction: 'send',
      fileName: 'source.bin',
      fileSize: content.length,
      path,
      recipients: { handedOut: recipients, spare },
      chunksDone: info.chunksTotal,
      bytesDone: info.encryptedSize,
      run: 1,
    });
    const result = await agent.descriptions(info.id);
    expect(result.spare).toBe(spare);
    expect(result.recipients.map(({ number }) => number)).toEqual(
      Array.from({ length: recipients }, (_, index) => index + 1),
    );
    // Nobody's access is another's.
    const ids = result.recipients.flatMap(({ description }) =>
      parseDescription(description).chunks.map(({ replicas }) =>
        Buffer.from(replicas[0]!.id).toString('hex'),
      ),
    );
    expect(new Set(ids).size).toBe(recipients * info.chunksTotal);
    expect((await relay.counts()).FNEW).toBe(info.chunksTotal);
    const { recipients: all } = result;
    for (const { description } of [all[0]!, all[Math.floor(recipients / 2)]!, all.at(-1)!])
      expect((await received(agent, { description })).equals(content)).toBe(true);
    expect(agent.errors).toEqual([]);
  });

  it('of 0 bytes comes back', async () => {
    const { agent } = await agentAndRelay();
    const { path } = sourceIn(agent, 0);
    const { id } = await sent(agent, { path });
    const [recipient] = (await agent.descriptions(id)).recipients;
    expect(await received(agent, { description: recipient!.description })).toHaveLength(0);
  });

  it('by a link has the name of the link, and tells what it leads to when that cannot be found', async () => {
    const { agent } = await agentAndRelay();
    const { path } = sourceIn(agent, 10);
    const link = join(agent.folder, 'link.txt');
    symlinkSync(path, link);
    expect(await agent.send({ path: link }, CALLER)).toMatchObject({ fileName: 'link.txt', path });
    const nameless = Buffer.concat([Buffer.from(`${agent.folder}/caf`), Buffer.from([0xe9])]);
    writeFileSync(nameless, 'content');
    symlinkSync(nameless, join(agent.folder, 'cafe'));
    await expect(agent.send({ path: join(agent.folder, 'cafe') }, CALLER)).rejects.toThrow(
      /caf\ufffd cannot be found, as its name is not valid UTF-8: rename it, or make a hard link/,
    );
  });

  it('over several relays comes back under the name that it was given', async () => {
    const relays = await Promise.all([countedRelay(), countedRelay(), countedRelay()]);
    const agent = await testAgent({ servers: relays.map(({ address }) => address) });
    const { path, content } = sourceIn(agent, 5000 * KIB);
    const { id } = await sent(agent, { path, fileName: 'Bericht für Ö.pdf' });
    const [recipient] = (await agent.descriptions(id)).recipients;
    const info = await agent.receive({ description: recipient!.description }, CALLER);
    const { path: into } = await agent.reached(info.id, 'completed');
    expect(into).toBe(join(agent.downloads, 'Bericht für Ö.pdf'));
    expect(readFileSync(into!).equals(content)).toBe(true);
    expect(readdirSync(agent.downloads)).toEqual(['Bericht für Ö.pdf']);
    expect(agent.stats().map(({ failures }) => failures)).toEqual(agent.stats().map(() => []));
  });

  it('may go through other relays than those of the list', async () => {
    const { agent, relay } = await agentAndRelay();
    const other = await countedRelay({ createPassword: 'secret' });
    const { path } = sourceIn(agent, 10);
    const withPassword = other.address.replace('@', ':secret@');
    const { id } = await sent(agent, { path, servers: [withPassword] });
    expect([relay.chunks(), other.chunks()]).toEqual([0, 1]);
    expect((await agent.descriptions(id)).recipients[0]!.description).not.toContain('secret');
  });

  it('and whose source was deleted right after the call comes back, and no copy stays', async () => {
    const { agent } = await agentAndRelay();
    const { path, content } = sourceIn(agent, 400 * KIB);
    const { id } = await agent.send({ path }, CALLER);
    rmSync(path);
    await agent.reached(id, 'completed');
    const [recipient] = (await agent.descriptions(id)).recipients;
    expect((await received(agent, { description: recipient!.description })).equals(content)).toBe(true);
    await agent.until(() => readdirSync(join(agent.dataDir, 'snapshots')).length === 0);
  });

  it('without a snapshot fails when the source changes, and a retry sends what it is now', async () => {
    const relay = await countedRelay();
    const proxy = await startFaultProxy(relay.port);
    const agent = await testAgent({
      servers: [relay.address.replace(String(relay.port), String(proxy.port))],
    });
    const { path } = sourceIn(agent, 3000 * KIB);
    proxy.setFault({ type: 'stall', direction: 'up', after: 200 * KIB });
    const { id } = await agent.send({ path, snapshot: false }, CALLER);
    await proxy.struck();
    expect(readdirSync(join(agent.dataDir, 'snapshots'))).toEqual([]);
    appendFileSync(path, 'more');
    proxy.setFault();
    proxy.cutAll();
    agent.setNetwork({ online: true });
    const { failure } = await agent.reached(id, 'failed');
    expect(failure).toMatchObject({
      code: 'SOURCE_CHANGED',
      message: expect.stringContaining(path) as string,
      hint: expect.stringContaining('snapshot') as string,
    });
    agent.retry(id);
    const { run } = await agent.reached(id, 'completed');
    expect(run).toBe(2);
    const [recipient] = (await agent.descriptions(id)).recipients;
    const into = await agent.receive({ description: recipient!.description, approveRelays: 'all' }, CALLER);
    const { path: received } = await agent.reached(into.id, 'completed');
    expect(readFileSync(received!).equals(readFileSync(path))).toBe(true);
    // What was uploaded of the old content is deleted.
    await agent.until(() => agent.info().relayTasks === 0);
    expect(relay.chunks()).toBe(agent.get(id).chunksTotal);
  });

  it('is sent once for each name that its caller gave it', async () => {
    const { agent } = await agentAndRelay();
    const { path } = sourceIn(agent, 100 * KIB);
    const send = (clientRef: string, tokenId = 1): Promise<TransferInfo> =>
      agent.send({ path, clientRef }, { tokenId });
    const other = agent.createToken({ name: 'other', scope: 'submit' });
    const all = await Promise.all([send('a'), send('a'), send('a'), send('b'), send('a', other.id)]);
    expect(new Set(all.map(({ id }) => id)).size).toBe(3);
    const again = await send('a');
    expect(again.id).toBe(all[0].id);
    for (const { id } of all) await agent.reached(id, 'completed');
    expect((await send('a')).id).toBe(all[0].id);
    await agent.until(() => readdirSync(join(agent.dataDir, 'snapshots')).length === 0);
  });

  it('is refused when it cannot be sent, before anything is recorded', async () => {
    const { agent } = await agentAndRelay();
    const { path } = sourceIn(agent, 10);
    const noRelays = await testAgent();
    const cases = [
      [agent, { path: join(agent.folder, 'gone') }, 'SOURCE_MISSING'],
      [agent, { path: agent.folder }, 'INVALID_ARGUMENT'],
      [agent, { path: 'relative' }, 'INVALID_ARGUMENT'],
      [agent, { path, servers: [] }, 'INVALID_ARGUMENT'],
      [agent, { path, servers: ['nonsense'] }, 'INVALID_ADDRESS'],
      [agent, { path, deadline: 1 }, 'INVALID_ARGUMENT'],
      [noRelays, { path }, 'INVALID_ARGUMENT'],
    ] as const;
    for (const [by, params, code] of cases)
      await expect(by.send(params, CALLER)).rejects.toThrow(failing(code));
    agent.setSettings({ maxFileSize: 9 });
    await expect(agent.send({ path }, CALLER)).rejects.toThrow(failing('FILE_TOO_LARGE'));
    expect(agent.list({ limit: 10 }).items).toEqual([]);
    expect(readdirSync(join(agent.dataDir, 'snapshots'))).toEqual([]);
  });

  it('tells of itself: created, its states in their order, completed, and progress in between', async () => {
    const { agent } = await agentAndRelay();
    const { path } = sourceIn(agent, 100 * KIB);
    const { id } = await sent(agent, { path });
    const durable = agent.events.filter((event) => 'seq' in event && event.transferId === id);
    expect(durable.map(({ type, data }) => ('to' in data ? data.to : type))).toEqual([
      'transfer.created',
      'preparing',
      'uploading',
      'completed',
      'transfer.completed',
    ]);
    const listed = agent.listEvents({ transferId: id, limit: 100 });
    expect(listed.events).toEqual(durable);
    expect(listed.lagged).toBe(false);
  });
});

describe('links', () => {
  /** A description too long for a QR code, since it has several chunks. */
  const LONG = 2500 * KIB;

  it.each([
    ['never', LONG, false],
    ['auto', LONG, true],
    ['auto', 10, false],
    ['always', 10, true],
  ] as const)('with redirect %s of %i bytes: %s', async (redirect, size, redirected) => {
    const { agent, relay } = await agentAndRelay();
    const { path, content } = sourceIn(agent, size);
    const { id, chunksTotal } = await sent(agent, { path, redirect, recipients: 2 });
    expect(agent.list({ limit: 10 }).items.map((item) => item.id)).toEqual([id]);
    expect((await relay.counts()).FPUT).toBe(chunksTotal + (redirected ? 2 : 0));
    const { recipients } = await agent.descriptions(id);
    for (const recipient of recipients) {
      expect(recipient).toMatchObject({ redirect: redirected });
      if (redirected) expect(recipient.fitsQrCode).toBe(true);
      expect(recipient.link).toMatch(/^simplex:\/file#/);
      expect(recipient.webLink).toMatch(/^https:\/\//);
      expect(formatDescription(parseLink(recipient.webLink))).toBe(
        formatDescription(parseLink(recipient.link)),
      );
      expect(agent.inspect({ link: recipient.link })).toMatchObject({
        party: 'recipient',
        servers: [{ address: relay.address, known: true }],
        ...(redirected ? { redirect: { encryptedSize: agent.get(id).encryptedSize } } : {}),
      });
    }
    const [first, second] = recipients;
    const sources = [{ link: first!.link }, { link: second!.webLink }, { description: first!.description }];
    for (const source of sources) expect((await received(agent, source)).equals(content)).toBe(true);
    expect(agent.errors).toEqual([]);
  });

  it('are not stored while the send is paused', async () => {
    const relay = await countedRelay();
    const proxy = await startFaultProxy(relay.port);
    const address = relay.address.replace(`:${String(relay.port)}`, `:${String(proxy.port)}`);
    const agent = await testAgent({ servers: [address] });
    // One connection: the only chunk of the file passes, the description behind it stands still in the middle.
    agent.setSettings({ chunksPerServer: 1 });
    proxy.setFault({ type: 'stall', direction: 'up', after: 160 * KIB });
    const { path, content } = sourceIn(agent, 10 * KIB);
    const { id } = await agent.send({ path, redirect: 'always' }, CALLER);
    await proxy.struck();
    await agent.until(() => agent.get(id).chunksDone === 1);
    agent.pause(id);
    // In this order: what stands still is not to reach the relay.
    proxy.cutAll();
    proxy.setFault();
    await sent(agent, { path, redirect: 'never' });
    expect((await relay.counts()).FPUT).toBe(2);
    agent.resume(id);
    await agent.reached(id, 'completed');
    expect((await relay.counts()).FPUT).toBe(3);
    const [recipient] = (await agent.descriptions(id)).recipients;
    expect((await received(agent, { link: recipient!.link })).equals(content)).toBe(true);
  });

  it('are gone with the file when it is revoked', async () => {
    const { agent, relay } = await agentAndRelay();
    const { path } = sourceIn(agent, 10);
    const { id } = await sent(agent, { path, redirect: 'always' });
    expect(relay.chunks()).toBe(2);
    expect(agent.revoke({ id })).toEqual({ deletions: 2 });
    await agent.until(() => relay.chunks() === 0);
    expect(existsSync(path)).toBe(true);
  });
});

describe('a deadline', () => {
  it('may be any fraction of an hour away, also for a retry', async () => {
    const { agent } = await agentAndRelay();
    agent.setSettings({ deadlineHours: 0.333333 });
    const path = join(agent.folder, 'deadline.bin');
    writeFileSync(path, 'abc');
    const { id, deadline } = await agent.send({ path, redirect: 'never' }, CALLER);
    expect(Number.isInteger(deadline)).toBe(true);
    agent.cancel(id);
    expect(Number.isInteger(agent.retry(id).deadline)).toBe(true);
  });
});

describe('a send that cannot be recorded', () => {
  it('leaves no copy of the source', async () => {
    const { agent } = await agentAndRelay();
    const path = join(agent.folder, 'unrecorded.bin');
    writeFileSync(path, 'abc');
    const deadline = Date.now() + 100_000.5;
    await expect(agent.send({ path, redirect: 'never', deadline }, CALLER)).rejects.toThrow();
    expect(readdirSync(join(agent.dataDir, 'snapshots'))).toEqual([]);
  });
});

describe('the recipients that relays are told of', () => {
  it.each([
    [1, 1],
    [3, 4],
    [8192, 8192],
    [8193, 10_000],
    [10_000, 10_000],
  ])('are %i as a power of two, but no more than relays take: %i', (recipients, registered) => {
    expect(withSpares(recipients)).toBe(registered);
  });
});
