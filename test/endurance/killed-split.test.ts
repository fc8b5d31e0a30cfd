import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';

import Sqlite from 'better-sqlite3';
import { describe, expect, it } from 'vitest';

import { encodeBase64Url, parseDescription } from '#src/protocol/index.js';

import { throughPort } from '../faults/agent-fault-samples.js';
import { type AgentProcess, agentProcess } from '../support/agent-process.js';
import { startFaultProxy } from '../support/fault-proxy.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { type TestRelay, testRelay } from '../support/test-relay.js';
import { digestOf, makeFile } from '../support/transfers.js';

/** Bytes of a file that makes one chunk of 1 MiB. */
const ONE_CHUNK = 1_000_000;
/** Bytes that a connection carries before it breaks: a chunk of 256 KiB, and no larger one. */
const CUT_AFTER = 480_000;

/** Conditions on the chunks of the transfer, in the order in which they come true. */
const STEPS: readonly (readonly [string, string])[] = [
  ['registered', "SELECT 1 FROM replicas WHERE transfer_id = ? AND state = 'registered'"],
  ['split', 'SELECT 1 FROM transfers WHERE id = ? AND chunks_total > 1'],
  ['partly uploaded', 'SELECT 1 FROM transfers WHERE id = ? AND chunks_total > 1 AND chunks_done >= 1'],
  ['half uploaded', 'SELECT 1 FROM transfers WHERE id = ? AND chunks_total > 1 AND chunks_done >= 2'],
];

/** Asks the agent's database, beside it. */
async function withRows<T>(agent: AgentProcess, work: (database: Sqlite.Database) => T): Promise<Awaited<T>> {
  const database = new Sqlite(join(agent.dataDir, 'agent.sqlite'), { readonly: true });
  try {
    return await work(database);
  } finally {
    database.close();
  }
}

/** Sender IDs of the chunks that a relay has acknowledged, as the agent knows. */
function uploaded(agent: AgentProcess, id: string): Promise<string[]> {
  const query = "SELECT access_id FROM replicas WHERE transfer_id = ? AND state = 'uploaded'";
  return withRows(agent, (database) =>
    (database.prepare(query).all(id) as { access_id: Uint8Array }[]).map(({ access_id: each }) =>
      encodeBase64Url(each),
    ),
  );
}

/** Sender IDs that the relay has registered and not deleted. */
async function kept(relay: TestRelay): Promise<string[]> {
  const lines = (await readFile(relay.storeLogPath, 'utf8')).split('\n').map((line) => line.split(' '));
  const idsOf = (change: string): string[] =>
    lines.filter(([name]) => name === change).map(([, id = '']) => id);
  const deleted = new Set(idsOf('FDEL'));
  return idsOf('FNEW').filter((id) => !deleted.has(id));
}

describe('An agent that is killed with -9 while a chunk of its send is split', () => {
  it('goes on from there at each step, uploads nothing twice, and deletes what the relay has of the chunk', async () => {
    const relay = await testRelay({ host: '127.0.0.1' });
    const proxy = await startFaultProxy(relay.port);
    const agent = await agentProcess([throughPort(relay.address, proxy.port)]);
    await agent.start();
    const client = await agent.connect();
    const source = await makeFile(await temporaryFolder(), ONE_CHUNK);
    proxy.setFault({ type: 'cut', direction: 'up', after: CUT_AFTER });
    const { id } = await client.transfers.send({ path: source, redirect: 'never' });
    const acknowledged = new Set<string>();
    for (const [, query] of STEPS) {
      await withRows(agent, async (database) => {
        const statement = database.prepare(query);
        while (statement.get(id) === undefined) await turn();
      });
      await agent.kill();
      for (const each of await uploaded(agent, id)) acknowledged.add(each);
      await agent.start();
    }
    await expect
      .poll(async () => (await client.transfers.get({ id })).state, { timeout: 60_000, interval: 50 })
      .toBe('completed');
    expect(acknowledged.size).toBeGreaterThanOrEqual(2);
    const all = await uploaded(agent, id);
    expect(all).toEqual(expect.arrayContaining([...acknowledged]));
    // The pieces, and nothing of the chunk or of tries that were given up.
    await expect
      .poll(async () => (await kept(relay)).toSorted(), { timeout: 30_000 })
      .toEqual(all.toSorted());
    const { description = '' } = (await client.transfers.descriptions({ id })).recipients[0] ?? {};
    expect(parseDescription(description).chunks).toHaveLength(all.length);
    proxy.setFault();
    const { id: receiving } = await client.transfers.receive({ description });
    await expect
      .poll(async () => (await client.transfers.get({ id: receiving })).state, { timeout: 30_000 })
      .toBe('completed');
    const { path = '' } = await client.transfers.get({ id: receiving });
    expect(await digestOf(path)).toBe(await digestOf(source));
  });
});
