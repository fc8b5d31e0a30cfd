import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect } from 'vitest';

import type { DurableEvent, SendParams, TransferInfo } from '#src/agent/index.js';
import {
  encodeBase64Url,
  type FileDescription,
  formatDescription,
  parseDescription,
  parseServerAddress,
} from '#src/protocol/index.js';

import { CALLER, testAgent, type TestAgent, type TestAgentOptions } from '../agent/agent-samples.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { testRelay, type TestRelay } from '../support/test-relay.js';
import { digestOf, makeFile } from '../support/transfers.js';

/** An agent that asks relays again so soon that no test has to wait for it. */
export function eagerAgent(options: TestAgentOptions = {}): Promise<TestAgent> {
  return testAgent({ gatePauses: { firstMs: 20, longestMs: 60 }, ...options });
}

/** A relay at 127.0.0.1, in this process; its folder too. */
export async function loopbackRelay(
  options: Parameters<typeof testRelay>[0] = {},
  folder?: string,
): Promise<TestRelay & { readonly folder: string }> {
  const home = folder ?? (await temporaryFolder());
  return { ...(await testRelay({ host: '127.0.0.1', ...options }, home)), folder: home };
}

/** A relay that has all that another one has, with an identity of its own. */
export async function copyOfRelay(relay: { readonly folder: string }): Promise<TestRelay> {
  const folder = await temporaryFolder();
  await cp(relay.folder, folder, { recursive: true });
  // The log names the bodies by their paths, in base64.
  const log = join(folder, 'file-server-store.log');
  const lines = (await readFile(log, 'utf8')).split('\n').map((line) => {
    const [command = '', id = '', path = ''] = line.split(' ');
    if (command !== 'FPUT') return line;
    const moved = Buffer.from(path, 'base64').toString().replace(relay.folder, folder);
    return `FPUT ${id} ${Buffer.from(moved).toString('base64')}`;
  });
  await writeFile(log, lines.join('\n'));
  return loopbackRelay({}, folder);
}

/** The address of a relay as it is reached through a proxy. */
export function throughPort(address: string, port: number): string {
  return address.replace(/:\d+$/, `:${String(port)}`);
}

/** An address that names another identity than the relay's. */
export function withOtherFingerprint(address: string): string {
  return address.replace(/\/\/[^@:]+/, `//${encodeBase64Url(new Uint8Array(32).fill(7))}`);
}

/** Starts to send a new file of so many random bytes. */
export async function startSend(
  agent: TestAgent,
  size = 1000,
  options: Partial<SendParams> = {},
): Promise<TransferInfo> {
  const path = await makeFile(agent.folder, size, `source-${String(Math.random()).slice(2)}.bin`);
  return agent.send({ path, redirect: 'never', ...options }, CALLER);
}

/** Sends a new file and gives its recipient's description. */
export async function sendWhole(agent: TestAgent, size = 1000): Promise<{ id: string; description: string }> {
  const { id } = await startSend(agent, size);
  await agent.reached(id, 'completed');
  return { id, description: (await agent.descriptions(id)).recipients[0]?.description ?? '' };
}

/** Starts to receive, from whatever relays there are. */
export function startReceive(agent: TestAgent, description: string): Promise<TransferInfo> {
  return agent.receive({ description, approveRelays: 'all' }, CALLER);
}

/** Proves that a transfer has ended as it should: the file is there, with the bytes of the source. */
export async function expectSame(agent: TestAgent, sendId: string, receiveId: string): Promise<void> {
  const { path = '' } = await agent.reached(receiveId, 'completed');
  expect(await digestOf(path)).toBe(await digestOf(agent.get(sendId).path ?? ''));
}

/** The transfer when it has failed. */
export function failureOf(agent: TestAgent, id: string): Promise<NonNullable<TransferInfo['failure']>> {
  return agent.until(() => {
    const { state, failure } = agent.get(id);
    if (state === 'completed') throw new Error('It is completed.');
    return state === 'failed' ? failure : undefined;
  });
}

/** Resolves when the transfer waits for this reason. */
export function waitsFor(agent: TestAgent, id: string, reason: string): Promise<TransferInfo> {
  return agent.until(() => {
    const info = agent.get(id);
    return info.state === 'waiting' && info.waitingReason === reason ? info : undefined;
  });
}

type EventOf<T extends DurableEvent['type']> = Extract<DurableEvent, { type: T }>;

/** Events of one type about a transfer. */
export function eventsOf<T extends DurableEvent['type']>(
  agent: TestAgent,
  id: string,
  type: T,
): EventOf<T>[] {
  return agent.events.filter((event): event is EventOf<T> => event.type === type && event.transferId === id);
}

/** How often relays did what they were asked, over all servers. */
export function successes(agent: TestAgent, action: string): number {
  return agent
    .stats()
    .flatMap(({ actions }) => actions)
    .filter((figures) => figures.action === action)
    .reduce((sum, figures) => sum + figures.successes, 0);
}

/** The description with these servers for each replica, the same IDs and keys on all of them. */
export function onServers(description: string, ...addresses: readonly string[]): string {
  const parsed = parseDescription(description);
  const chunks: FileDescription['chunks'] = parsed.chunks.map((chunk) => ({
    ...chunk,
    replicas: addresses.flatMap((address) =>
      chunk.replicas.map((replica) => ({ ...replica, server: parseServerAddress(address) })),
    ),
  }));
  return formatDescription({ ...parsed, chunks });
}

/** Changes one byte in the middle of a file. */
export async function damage(path: string): Promise<void> {
  const bytes = await readFile(path);
  const middle = Math.floor(bytes.length / 2);
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  await writeFile(path, bytes);
}

/** Paths of the chunk bodies of a relay. */
export function chunkPath(relay: TestRelay, name: string): string {
  return join(relay.filesPath, name);
}
