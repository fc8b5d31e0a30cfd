import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from 'vitest';

import type { Settings } from '#src/agent/model.js';
import { CALLER, type TestAgent, testAgent } from '../agent/agent-samples.js';
import { cleanUp } from '../support/clean-up.js';
import { type RelayProcess, startRelayProcess } from '../support/relay-process.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { makeFile, xftp } from '../support/transfers.js';
import { startTorNetwork, type TorNetwork } from './tor-network.js';

const MIB = 1024 ** 2;
const end = cleanUp();

let relay: RelayProcess;
let tor: TorNetwork;
/** The relay's address with its onion host. */
let onion: string;

beforeAll(async () => {
  relay = await startRelayProcess({ onEnd: end.add });
  tor = await startTorNetwork(relay.port);
  end.add(() => tor.stop());
  onion = relay.address.replace(/@.*$/, `@${tor.onionHost}:${String(tor.onionPort)}`);
}, 180_000);

afterAll(() => end.run());

async function agentThroughTor(address: string, settings: Partial<Settings> = {}): Promise<TestAgent> {
  const agent = await testAgent({ servers: [address] });
  agent.setSettings({ socksProxy: `127.0.0.1:${String(tor.socksPort)}`, ...settings });
  return agent;
}

async function startSend(agent: TestAgent, size: number): Promise<{ id: string; content: Buffer }> {
  const path = join(agent.folder, 'source.bin');
  const content = randomBytes(size);
  writeFileSync(path, content);
  const { id } = await agent.send({ path, redirect: 'never' }, CALLER);
  return { id, content };
}

it.each(['the onion service', 'an exit'])('a file is sent and received through %s', async (way) => {
  const address = way === 'an exit' ? relay.address : onion;
  const folder = await temporaryFolder();
  const source = await makeFile(folder, 5 * MIB, 'photo.jpg');
  const through = ['--socks-proxy', `127.0.0.1:${String(tor.socksPort)}`];
  const sent = await xftp(['send', source, folder, '-s', address, ...through]);
  expect([sent.stderr, sent.exitCode]).toEqual(['', 0]);
  const received = join(folder, 'received.jpg');
  const recv = await xftp(['recv', join(folder, 'photo.jpg.xftp', 'rcv1.xftp'), received, ...through]);
  expect(recv.exitCode).toBe(0);
  expect(readFileSync(received).equals(readFileSync(source))).toBe(true);
});

it('with isolation of chunks several are on circuits of their own at the same time', async () => {
  const agent = await agentThroughTor(onion, { isolation: 'chunk' });
  const { id } = await startSend(agent, 40 * MIB);
  let most = 0;
  await agent.until(() => agent.get(id).state === 'uploading');
  while (agent.get(id).state !== 'completed' && most < 3)
    most = Math.max(most, (await tor.circuitsTo(tor.onionPort)).size);
  expect(most).toBeGreaterThanOrEqual(3);
  await agent.reached(id, 'completed');
});

it('a transfer survives the end of the Tor client and completes when there is one again', async () => {
  const agent = await agentThroughTor(onion);
  const { id, content } = await startSend(agent, 24 * MIB);
  await agent.until(() => agent.get(id).chunksDone >= 1);
  await tor.killClient();
  const { chunksDone } = await agent.reached(id, 'waiting');
  await agent.until(() => !agent.info().network.online);
  await tor.restartClient();
  const { chunksTotal } = await agent.reached(id, 'completed');
  expect(chunksDone).toBeLessThan(chunksTotal);
  const { description } = (await agent.descriptions(id)).recipients[0]!;
  const receive = await agent.receive({ description }, CALLER);
  const { path = '' } = await agent.reached(receive.id, 'completed');
  expect(readFileSync(path).equals(content)).toBe(true);
}, 120_000);
