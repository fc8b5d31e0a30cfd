import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import type { ReceiveParams, RecipientDescription } from '#src/agent/model.js';
import { generateKeyPair } from '#src/crypto/index.js';
import { formatDescriptionUri, parseLink, parseServerAddress } from '#src/protocol/index.js';
import { failing } from '../crypto/expected-failure.js';
import { startFaultProxy } from '../support/fault-proxy.js';
import { CALLER, type TestAgent, testAgent } from './agent-samples.js';
import { redirectThrough } from './redirect-samples.js';
import { countedRelay, type CountedRelay } from './relay-samples.js';

const KIB = 1024;

interface Sample {
  readonly agent: TestAgent;
  readonly relay: CountedRelay;
  readonly content: Buffer;
  readonly description: string;
  readonly recipient: RecipientDescription;
  readonly sender: string;
}

/** A file that was sent, in an agent that knows its relay. */
async function sample(options: { size?: number; redirect?: 'always' } = {}): Promise<Sample> {
  const relay = await countedRelay();
  const agent = await testAgent({ servers: [relay.address] });
  const path = join(agent.folder, 'sample.bin');
  const content = randomBytes(options.size ?? 100 * KIB);
  writeFileSync(path, content);
  const { id } = await agent.send({ path, redirect: options.redirect ?? 'never' }, CALLER);
  await agent.reached(id, 'completed');
  const { recipients, sender } = await agent.descriptions(id);
  const [recipient] = recipients as [RecipientDescription];
  return { agent, relay, content, description: recipient.description, recipient, sender };
}

/** The files in the folder for downloads, hidden ones too. */
function filesOf({ downloads }: TestAgent): Record<string, string> {
  return Object.fromEntries(
    readdirSync(downloads).map((name) => [name, readFileSync(join(downloads, name)).toString('hex')]),
  );
}

describe('a file that is received', () => {
  it('tells of itself and may be received again, under another name', async () => {
    const { agent, content, description } = await sample();
    const first = await agent.receive({ description }, CALLER);
    expect(first).toMatchObject({ direction: 'receive', state: 'queued', run: 1 });
    expect(first.fileName).toBeUndefined();
    const done = await agent.reached(first.id, 'completed');
    expect(done).toMatchObject({
      fileName: 'sample.bin',
      fileSize: content.length,
      path: join(agent.downloads, 'sample.bin'),
      chunksDone: done.chunksTotal,
      bytesDone: done.encryptedSize,
    });
    const states = agent.listEvents({ transferId: first.id, types: ['transfer.state'], limit: 10 }).events;
    expect(states.map(({ data }) => 'to' in data && data.to)).toEqual([
      'downloading',
      'verifying',
      'completed',
    ]);
    const second = await agent.receive({ description }, CALLER);
    const { path } = await agent.reached(second.id, 'completed');
    expect(path).toBe(join(agent.downloads, 'sample_1.bin'));
    const hex = content.toString('hex');
    expect(filesOf(agent)).toEqual({ 'sample.bin': hex, 'sample_1.bin': hex });
  });

  it('makes the folder for downloads if need be, but none that was named', async () => {
    const { agent, content, description } = await sample();
    rmSync(agent.downloads, { recursive: true });
    const directory = join(agent.folder, 'missing');
    await expect(agent.receive({ description, directory }, CALLER)).rejects.toMatchObject({
      code: 'SOURCE_MISSING',
      message: `The folder ${directory} does not exist: make it first, or name another one.`,
    });
    const { id } = await agent.receive({ description }, CALLER);
    await agent.reached(id, 'completed');
    expect(filesOf(agent)).toEqual({ 'sample.bin': content.toString('hex') });
  });

  it.each(['rename', 'overwrite', 'fail'] as const)('on conflict %s does so', async (onConflict) => {
    const { agent, content, description } = await sample();
    writeFileSync(join(agent.downloads, 'sample.bin'), 'old');
    const { id } = await agent.receive({ description, onConflict }, CALLER);
    const [old, hex] = [Buffer.from('old').toString('hex'), content.toString('hex')];
    if (onConflict === 'fail') {
      const { failure } = await agent.reached(id, 'failed');
      expect(failure?.code).toBe('FILE_EXISTS');
      agent.remove(id);
      await agent.until(() => readdirSync(agent.downloads).length === 1);
      expect(filesOf(agent)).toEqual({ 'sample.bin': old });
      return;
    }
    await agent.reached(id, 'completed');
    expect(filesOf(agent)).toEqual(
      onConflict === 'rename' ? { 'sample.bin': old, 'sample_1.bin': hex } : { 'sample.bin': hex },
    );
  });

  it('goes into the folder and under the name that were asked for, and is visible only when it is whole', async () => {
    const { agent, content, description } = await sample();
    const directory = join(agent.folder, 'elsewhere');
    mkdirSync(directory);
    const { id } = await agent.receive({ description, directory, fileName: '../own name.bin' }, CALLER);
    const { path = '' } = await agent.reached(id, 'completed');
    expect(path.startsWith(`${directory}/`)).toBe(true);
    expect(readdirSync(directory)).toHaveLength(1);
    expect(readFileSync(path).equals(content)).toBe(true);
    expect(filesOf(agent)).toEqual({});
  });

  it('is received once for each name that its caller gave it', async () => {
    const { agent, description } = await sample();
    const receive = (): ReturnType<TestAgent['receive']> =>
      agent.receive({ description, clientRef: 'mine' }, CALLER);
    const all = await Promise.all([receive(), receive(), receive()]);
    expect(new Set(all.map(({ id }) => id)).size).toBe(1);
    await agent.reached(all[0].id, 'completed');
    expect((await receive()).id).toBe(all[0].id);
    expect(Object.keys(filesOf(agent))).toEqual(['sample.bin']);
  });

  it('and acknowledged is gone for its recipient, and stays for the others', async () => {
    const { agent, relay, description, sender } = await sample();
    const { id } = await agent.receive({ description, acknowledge: true }, CALLER);
    const { chunksTotal } = await agent.reached(id, 'completed');
    await agent.until(() => agent.info().relayTasks === 0);
    expect((await relay.counts()).FACK).toBe(chunksTotal);
    const again = await agent.receive({ description }, CALLER);
    const { failure } = await agent.reached(again.id, 'failed');
    expect(failure).toMatchObject({ code: 'CHUNK_GONE', kind: 'gone' });
    expect(relay.chunks()).toBe(chunksTotal);
    expect(agent.inspect({ description: sender }).party).toBe('sender');
  });

  it('by a link and acknowledged has the stored description acknowledged too', async () => {
    const { agent, relay, recipient } = await sample({ redirect: 'always' });
    const { id } = await agent.receive({ link: recipient.link, acknowledge: true }, CALLER);
    const { chunksTotal } = await agent.reached(id, 'completed');
    await agent.until(() => agent.info().relayTasks === 0);
    expect((await relay.counts()).FACK).toBe(chunksTotal + 1);
  });

  it('by a link is found where its description still is', async () => {
    const { agent, content, description, relay } = await sample();
    const other = await countedRelay();
    const outer = parseLink(await redirectThrough(relay.address, description));
    // The first replica is on a relay that knows nothing of it.
    const { privateKey: key } = generateKeyPair('ed25519');
    const lost = { server: parseServerAddress(other.address), id: randomBytes(16), key };
    const chunks = outer.chunks.map((chunk) => ({ ...chunk, replicas: [lost, ...chunk.replicas] }));
    const link = formatDescriptionUri({ ...outer, chunks });
    const { id } = await agent.receive({ link, approveRelays: 'all' }, CALLER);
    await agent.reached(id, 'completed');
    expect(filesOf(agent)).toEqual({ 'sample.bin': content.toString('hex') });
  });

  it('by a link whose description the relay has changed asks once more, and then tells', async () => {
    const { agent, description, relay } = await sample();
    const before = new Set(readdirSync(relay.filesPath));
    const link = await redirectThrough(relay.address, description);
    const stored = readdirSync(relay.filesPath).filter((name) => !before.has(name));
    expect(stored).toHaveLength(1);
    for (const name of stored) writeFileSync(join(relay.filesPath, name), randomBytes(64 * KIB));
    const { id } = await agent.receive({ link }, CALLER);
    expect((await agent.reached(id, 'failed')).failure?.code).toBe('CHUNK_DIGEST');
    const [stats] = agent.stats().filter(({ address }) => address === relay.address);
    expect(stats?.failures.map(({ kind, count }) => [kind, count])).toEqual([['corrupt', 2]]);
  });

  it('fails when it is gone, and a retry asks again', async () => {
    const { agent, description, relay, sender } = await sample();
    agent.revoke({ senderDescription: sender });
    await agent.until(() => relay.chunks() === 0);
    const { id } = await agent.receive({ description }, CALLER);
    for (let run = 1; run <= 2; run++) {
      const { failure, ...info } = await agent.reached(id, 'failed');
      expect(failure).toMatchObject({
        code: 'CHUNK_GONE',
        temporary: false,
        hint: expect.any(String) as string,
      });
      expect(info.run).toBe(run);
      if (run === 1) agent.retry(id);
      if (run === 1) await agent.until(() => agent.get(id).run === 2);
    }
    expect(filesOf(agent)).toEqual({});
    const failed = agent.listEvents({ transferId: id, types: ['transfer.failed'], limit: 10 }).events;
    expect(failed).toHaveLength(2);
  });

  it('is refused when it cannot be received, before anything is recorded', async () => {
    const { agent, description, recipient, sender } = await sample();
    const before = agent.list({ limit: 10 }).items.length;
    const cases: [ReceiveParams, string][] = [
      [{}, 'INVALID_ARGUMENT'],
      [{ description, link: recipient.link }, 'INVALID_ARGUMENT'],
      [{ description: 'nonsense' }, 'INVALID_DESCRIPTION'],
      [{ link: 'https://example.com' }, 'INVALID_LINK'],
      [{ description: sender }, 'INVALID_DESCRIPTION'],
      [{ description, directory: 'relative' }, 'INVALID_ARGUMENT'],
      [{ description, directory: join(agent.folder, 'gone') }, 'SOURCE_MISSING'],
      [{ description, directory: join(agent.folder, 'sample.bin') }, 'INVALID_ARGUMENT'],
      [{ description, deadline: 1 }, 'INVALID_ARGUMENT'],
    ];
    for (const [params, code] of cases)
      await expect(agent.receive(params, CALLER)).rejects.toThrow(failing(code as 'INVALID_ARGUMENT'));
    expect(agent.list({ limit: 10 }).items).toHaveLength(before);
  });
});

it.skipIf(process.platform !== 'linux')(
  'a folder that takes no files fails a receive, and is named',
  async () => {
    const { agent, description } = await sample();
    const { id } = await agent.receive({ description, directory: '/proc' }, CALLER);
    const { failure } = await agent.reached(id, 'failed');
    expect(failure).toMatchObject({
      code: 'NO_PERMISSION',
      message: 'The folder /proc cannot be written to: choose another one.',
    });
    expect(failure?.hint).toBeUndefined();
  },
);

describe('relays that are not in the server list', () => {
  it('are refused, used, or asked about, as the caller says', async () => {
    const { relay, description, content } = await sample();
    const agent = await testAgent();
    const receive = (approveRelays?: 'known' | 'all' | 'ask'): ReturnType<TestAgent['receive']> =>
      agent.receive({ description, ...(approveRelays === undefined ? {} : { approveRelays }) }, CALLER);
    await expect(receive('known')).rejects.toThrow(failing('NOT_APPROVED'));
    await agent.reached((await receive('all')).id, 'completed');

    const { id } = await receive();
    const waiting = await agent.reached(id, 'awaiting_approval');
    expect(waiting.approval).toEqual({ servers: [relay.address], reason: expect.any(String) as string });
    const [asked] = agent.listEvents({ transferId: id, types: ['transfer.approval'], limit: 10 }).events;
    expect(asked?.data).toEqual(waiting.approval);
    expect(() => agent.resume(id)).toThrow(failing('ILLEGAL_STATE'));
    agent.approve(id);
    const { path = '', approval } = await agent.reached(id, 'completed');
    expect(readFileSync(path).equals(content)).toBe(true);
    expect(approval).toBeUndefined();
    expect(() => agent.approve(id)).toThrow(failing('ILLEGAL_STATE'));

    agent.setSettings({ approveRelays: 'known' });
    await expect(receive()).rejects.toThrow(failing('NOT_APPROVED'));
    agent.addServer({ address: relay.address });
    await agent.reached((await receive()).id, 'completed');
  });

  it('behind a redirect are asked about when they are found', async () => {
    const [known, other] = [await countedRelay(), await countedRelay()];
    const sender = await testAgent({ servers: [other.address] });
    const path = join(sender.folder, 'sample.bin');
    writeFileSync(path, 'content');
    const file = await sender.send({ path }, CALLER);
    await sender.reached(file.id, 'completed');
    // The description goes as a file through the known relay: what it leads to is on the other one.
    const { recipients } = await sender.descriptions(file.id);
    const link = await redirectThrough(known.address, recipients[0]!.description);
    const agent = await testAgent({ servers: [known.address] });
    const { id } = await agent.receive({ link }, CALLER);
    const { approval } = await agent.reached(id, 'awaiting_approval');
    expect(approval?.servers).toEqual([other.address]);
    agent.approve(id);
    await agent.reached(id, 'completed');
    expect(readFileSync(join(agent.downloads, 'sample.bin'), 'utf8')).toBe('content');
  });

  it('wait for approval over a restart, and are not asked before', async () => {
    const { relay, description } = await sample();
    const proxy = await startFaultProxy(relay.port);
    const moved = description.replaceAll(`:${String(relay.port)}`, `:${String(proxy.port)}`);
    const agent = await testAgent();
    const { id } = await agent.receive({ description: moved }, CALLER);
    await agent.reached(id, 'awaiting_approval');
    const again = await agent.reopen();
    expect(again.get(id).state).toBe('awaiting_approval');
    expect(proxy.accepted()).toBe(0);
    again.approve(id);
    await again.reached(id, 'completed');
  });

  it('that were known and no longer are when a stopped receive goes on are asked about', async () => {
    const { relay, agent: first, description } = await sample();
    const proxy = await startFaultProxy(relay.port);
    const address = relay.address.replace(`:${String(relay.port)}`, `:${String(proxy.port)}`);
    const moved = description.replaceAll(`:${String(relay.port)}`, `:${String(proxy.port)}`);
    proxy.setFault({ type: 'cut', direction: 'up', after: 0 });
    const { id: serverId } = first.addServer({ address });
    const { id } = await first.receive({ description: moved }, CALLER);
    await first.reached(id, 'waiting');
    first.removeServer(serverId);
    const again = await first.reopen();
    await again.reached(id, 'awaiting_approval');
  });
});

describe('a part file', () => {
  it('is hidden, for its owner only, and gone when the receive is cancelled', async () => {
    const { relay, agent, description } = await sample({ size: 3000 * KIB });
    const proxy = await startFaultProxy(relay.port);
    const moved = description.replaceAll(`:${String(relay.port)}`, `:${String(proxy.port)}`);
    agent.setSettings({ chunksPerServer: 1 });
    // The first chunk comes, then nothing more.
    proxy.setFault({ type: 'stall', direction: 'down', after: 1500 * KIB });
    const { id } = await agent.receive({ description: moved, approveRelays: 'all' }, CALLER);
    await proxy.struck();
    await agent.until(() => agent.get(id).chunksDone === 1);
    const name = `.${id}.part`;
    expect(readdirSync(agent.downloads)).toEqual([name]);
    expect(statSync(join(agent.downloads, name)).mode & 0o777).toBe(0o600);
    agent.cancel(id);
    proxy.setFault();
    await agent.until(() => readdirSync(agent.downloads).length === 0);
    // What was there already is downloaded again: there is no part file any more.
    agent.retry(id);
    await agent.reached(id, 'completed');
    expect(readdirSync(agent.downloads)).toEqual(['sample.bin']);
  });
});
