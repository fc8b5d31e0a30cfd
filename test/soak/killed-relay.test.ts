import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { decodeBase64Url } from '#src/protocol/index.js';

import { asRecipient, asSender, errorText, RawClient, type RawChunk } from '../support/raw-client.js';
import { freePort, type RelayProcess, startRelayProcess } from '../support/relay-process.js';
import { chunkBytes } from '../support/test-relay.js';

const ROUNDS = 25;
/** Relays that are killed side by side: most of the time they wait for the disk. */
const RELAYS = 2;
/** Connections that work side by side. */
const CONNECTIONS = 3;
/** Requests that were answered when the relay is killed; the number differs from round to round. */
const answersIn = (round: number): number => 3 + ((round * 7) % 20);
/** Chunks of a round's beginning that are looked at again after the kill, beside all that the round touched. */
const OLD_CHUNKS = 5;

/** What a client knows of its chunk. */
interface KnownChunk {
  readonly chunk: RawChunk;
  /** `unsure`: a request about it was under way when the relay was killed. */
  state: 'stored' | 'acknowledged' | 'deleted' | 'unsure';
}

describe('A relay that is killed with -9 during a mixed load', () => {
  it(
    `keeps what it acknowledged, forgets what was deleted, and counts what is on its disk, ${String(RELAYS * ROUNDS)} times`,
    { timeout: 300_000 },
    async () => {
      await Promise.all(Array.from({ length: RELAYS }, (_, index) => killOverAndOver(index)));
    },
  );
});

async function killOverAndOver(seed: number): Promise<void> {
  const metricsPort = await freePort();
  const relay = await startRelayProcess({ workers: 2, ini: { metrics_port: String(metricsPort) } });
  const all: KnownChunk[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const touched = await workUntilKilled(relay, all, answersIn(2 * round + seed));
    await relay.start();
    const client = await connect(relay);
    for (const known of new Set([...touched, ...all.slice(-OLD_CHUNKS)])) await expectKept(client, known);
    await client.close();
    expect(await usedBytes(metricsPort)).toBe(await bytesOnDisk(relay.filesPath));
  }
  const client = await connect(relay);
  for (const known of all) await expectKept(client, known);
  for (const state of ['stored', 'acknowledged', 'deleted'] as const)
    expect(all.filter((known) => known.state === state).length).toBeGreaterThan(ROUNDS / 3);
}

/**
 * Uploads, downloads, acknowledges and deletes on several connections, kills the relay in the midst of it, and gives the
 * chunks that were touched; new ones are added to `all`.
 */
async function workUntilKilled(
  relay: RelayProcess,
  all: KnownChunk[],
  answers: number,
): Promise<readonly KnownChunk[]> {
  const touched = new Set<KnownChunk>();
  let answered = 0;
  let killed: Promise<unknown> | undefined;
  const answer = (): void => {
    answered += 1;
    if (answered >= answers) killed ??= relay.kill();
  };
  const work = async (client: RawClient, seed: number): Promise<void> => {
    for (let step = seed; killed === undefined; step++) {
      const known: KnownChunk = { chunk: await client.create(chunkBytes()), state: 'unsure' };
      expect(await client.put(known.chunk)).toBe('OK');
      known.state = 'stored';
      all.push(known);
      touched.add(known);
      answer();
      if (step % 3 === 0) await change(client, known, 'FDEL', 'deleted');
      if (step % 3 === 1) await change(client, known, 'FACK', 'acknowledged');
      answer();
    }
  };
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => connect(relay)));
  // What was under way when the relay was killed fails.
  await Promise.allSettled(clients.map(work));
  await killed;
  return [...touched];
}

async function change(
  client: RawClient,
  known: KnownChunk,
  type: 'FDEL' | 'FACK',
  state: KnownChunk['state'],
): Promise<void> {
  known.state = 'unsure';
  const who = type === 'FDEL' ? asSender(known.chunk) : asRecipient(known.chunk);
  expect(errorText((await client.command({ type }, who)).response)).toBe('OK');
  known.state = state;
}

async function expectKept(client: RawClient, { chunk, state }: KnownChunk): Promise<void> {
  const bytes = await client.get(chunk);
  switch (state) {
    case 'stored':
      expect(Buffer.isBuffer(bytes) && bytes.equals(chunk.bytes)).toBe(true);
      break;
    case 'acknowledged':
    case 'deleted':
      expect(bytes).toBe('AUTH');
      break;
    case 'unsure':
      expect(Buffer.isBuffer(bytes) ? bytes.equals(chunk.bytes) : bytes === 'AUTH').toBe(true);
  }
}

async function usedBytes(metricsPort: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${String(metricsPort)}/metrics`);
  return Number(/^xftp_relay_used_bytes (\d+)$/m.exec(await response.text())?.[1]);
}

async function bytesOnDisk(folder: string): Promise<number> {
  const sizes = await Promise.all(
    (await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function connect({ port, address }: RelayProcess): Promise<RawClient> {
  const fingerprint = decodeBase64Url(/\/\/([^@]+)/.exec(address)?.[1] ?? '');
  const client = await RawClient.open({ port, fingerprint });
  onTestFinished(() => client.close());
  return client;
}
