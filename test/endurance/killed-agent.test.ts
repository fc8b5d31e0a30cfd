import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';

import Sqlite from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';

import type { AgentClient, DurableEvent, TransferInfo } from '#src/sdk/index.js';

import { type AgentProcess, agentProcess } from '../support/agent-process.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { type TestRelay, testRelay } from '../support/test-relay.js';
import { digestOf, makeFile } from '../support/transfers.js';

/** Kills at random instants. */
const KILLS = 100;
/** Files that are sent and received meanwhile. */
const FILES = 24;
/** Bytes per second while agents are killed, so that there is something to be killed in. */
const LIMIT = 500_000;
/** Longest life of an agent before it is killed, in ms: its start included. */
const LONGEST_LIFE_MS = 900;
/** The same on a machine so busy that a start takes as long. */
const LONGEST_BUSY_LIFE_MS = 2000;

/** Between two questions to an agent that may be dead, in ms. */
const ASK_AGAIN_MS = 50;

/** Uploads that the relay has acknowledged, each counted once for each time. */
function uploadsAt(relay: TestRelay): number {
  return readFileSync(relay.storeLogPath, 'utf8').match(/^FPUT /gm)?.length ?? 0;
}

async function completed(client: AgentClient, id: string): Promise<TransferInfo> {
  for await (const event of client.events({ transferId: id, since: 0 })) {
    if (event.type === 'transfer.completed') return event.data.transfer;
    if (event.type === 'transfer.failed') throw new Error(event.data.failure.message);
  }
  throw new Error('The events ended.');
}

async function allEvents(client: AgentClient): Promise<DurableEvent[]> {
  const events: DurableEvent[] = [];
  for (;;) {
    const page = await client.call('events.list', { since: events.at(-1)?.seq ?? 0, limit: 1000 });
    events.push(...page.events);
    if (page.events.length < 1000) return events;
  }
}

/** Numbers grow by one from 1, and each run has exactly one end. */
function expectEventsWhole(events: readonly DurableEvent[]): void {
  expect(events.map(({ seq }) => seq)).toStrictEqual(events.map((_, index) => index + 1));
  const ends = events.filter(({ type }) => type === 'transfer.completed' || type === 'transfer.failed');
  expect(new Set(ends.map(({ transferId }) => transferId)).size).toBe(ends.length);
}

/** Waits until a query on the agent's database, read beside it, gives a row. */
async function untilRow(agent: AgentProcess, query: string, id: string): Promise<void> {
  const database = new Sqlite(join(agent.dataDir, 'agent.sqlite'), { readonly: true });
  try {
    const statement = database.prepare(query);
    while (statement.get(id) === undefined) await turn();
  } finally {
    database.close();
  }
}

const replica = (state: string): string =>
  `SELECT 1 FROM replicas WHERE transfer_id = ? AND state = '${state}'`;
const transfer = (condition: string): string => `SELECT 1 FROM transfers WHERE id = ? AND (${condition})`;
const receive = (condition: string): string =>
  `SELECT 1 FROM receives WHERE transfer_id = ? AND ${condition}`;

const SEND_STEPS: readonly [string, string][] = [
  ['is in the database', transfer('1')],
  ['is being prepared', transfer("state <> 'queued'")],
  ['was prepared', transfer('file_digest IS NOT NULL')],
  ['has asked a relay for its first chunk', 'SELECT 1 FROM replicas WHERE transfer_id = ?'],
  ['has registered a chunk', replica('registered')],
  ['has uploaded a chunk', transfer('chunks_done >= 1')],
  ['has uploaded half of its chunks', transfer('chunks_done >= 3')],
  ['has uploaded all chunks', transfer('chunks_total > 0 AND chunks_done = chunks_total')],
  ['stores the description for its link', 'SELECT 1 FROM sends WHERE redirect_of = ?'],
];

const RECEIVE_STEPS: readonly [string, string][] = [
  ['is in the database', transfer('1')],
  ['has the description behind the link', receive('redirected IS NOT NULL')],
  ['has its first chunk', receive('prefix IS NOT NULL')],
  ['has half of its chunks', transfer('chunks_done >= 3')],
  ['has all chunks', transfer('chunks_total > 0 AND chunks_done = chunks_total')],
  ['is being verified', transfer("state = 'verifying' OR state = 'completed'")],
  ['was verified', receive('verified = 1')],
  ['has chosen the name of the file', receive('final_path IS NOT NULL')],
];

describe('An agent that is killed with -9', () => {
  it('at each step that it has recorded goes on from there, and uploads nothing twice', async () => {
    const relay = await testRelay();
    const agent = await agentProcess([relay.address]);
    await agent.start();
    const client = await agent.connect();
    const source = await makeFile(await temporaryFolder(), 1_400_000);
    const digest = await digestOf(source);
    let link = '';
    let chunks = 0;
    for (const [step, query] of SEND_STEPS) {
      const { id } = await client.transfers.send({ path: source, redirect: 'always', clientRef: step });
      await untilRow(agent, query, id);
      await agent.kill();
      await agent.start();
      const { chunksTotal } = await completed(client, id);
      chunks += chunksTotal + 1;
      link = (await client.transfers.descriptions({ id })).recipients[0]?.link ?? '';
    }
    expect(uploadsAt(relay)).toBe(chunks);
    for (const [step, query] of RECEIVE_STEPS) {
      const { id } = await client.transfers.receive({ link, clientRef: `receive: ${step}` });
      await untilRow(agent, query, id);
      await agent.kill();
      await agent.start();
      const { path = '' } = await completed(client, id);
      expect([step, await digestOf(path)]).toStrictEqual([step, digest]);
    }
    // Each receive has left its file and nothing else.
    expect(await readdir(agent.downloadsDir)).toHaveLength(RECEIVE_STEPS.length);
    expectEventsWhole(await allEvents(client));
  }, 180_000);

  it(`at ${String(KILLS)} random instants completes every transfer, and tells each event once`, async () => {
    const relay = await testRelay();
    const agent = await agentProcess([relay.address]);
    const folder = await temporaryFolder();
    const sources = await Promise.all(
      Array.from({ length: FILES }, (_, index) =>
        makeFile(folder, randomInt(600_000), `file-${String(index)}`),
      ),
    );
    const begun = performance.now();
    await agent.start();
    // Half of the lives, or more, last longer than the start.
    const startMs = Math.ceil(performance.now() - begun);
    const longestMs = Math.min(Math.max(LONGEST_LIFE_MS, 2 * startMs), LONGEST_BUSY_LIFE_MS);
    const client = await agent.connect();
    await client.settings.set({ uploadLimit: LIMIT, downloadLimit: LIMIT });
    const seen: number[] = [];
    const abort = new AbortController();
    onTestFinished(() => {
      abort.abort();
    });
    const watching = (async () => {
      for await (const event of client.events({ since: 0, signal: abort.signal }))
        if (event.type !== 'transfer.progress') seen.push(event.seq);
    })();
    const working = Promise.all(sources.map((source) => sendAndReceive(client, source)));
    for (let kills = 0; kills < KILLS; kills++) {
      await delay(randomInt(longestMs));
      await agent.kill();
      agent.launch();
    }
    // What is left has nothing to fear.
    await insist(() => client.settings.set({ uploadLimit: null, downloadLimit: null }));
    const chunks = await working;
    expect(uploadsAt(relay)).toBe(chunks.reduce((sum, count) => sum + count, 0));
    expect(await readdir(agent.downloadsDir)).toHaveLength(FILES);
    const events = await allEvents(client);
    expectEventsWhole(events);
    while (seen.length < events.length) await turn();
    expect(seen).toStrictEqual(events.map(({ seq }) => seq));
    abort.abort();
    await watching;
  }, 400_000);
});

/** Sends a file and receives it, asking again whenever the agent died of the question. Gives the number of chunks. */
async function sendAndReceive(client: AgentClient, source: string): Promise<number> {
  const sent = await insist(() =>
    client.transfers.send({ path: source, redirect: 'never', clientRef: `send ${source}` }),
  );
  const { chunksTotal } = await insistOnEnd(client, sent.id);
  const { recipients } = await insist(() => client.transfers.descriptions({ id: sent.id }));
  const description = recipients[0]?.description ?? '';
  const received = await insist(() =>
    client.transfers.receive({ description, clientRef: `receive ${source}` }),
  );
  const { path = '' } = await insistOnEnd(client, received.id);
  expect(await digestOf(path)).toBe(await digestOf(source));
  return chunksTotal;
}

/** Asks for the transfer until it is completed: events come late when the client has long found nobody to tell them. */
async function insistOnEnd(client: AgentClient, id: string): Promise<TransferInfo> {
  for (;;) {
    const transfer = await insist(() => client.transfers.get({ id }));
    if (transfer.state === 'completed') return transfer;
    if (transfer.state === 'failed') throw new Error(transfer.failure?.message);
    await delay(ASK_AGAIN_MS);
  }
}

/** Asks again while there is nobody to answer. */
async function insist<T>(ask: () => Promise<T>): Promise<T> {
  for (;;)
    try {
      return await ask();
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code !== 'AGENT_UNREACHABLE' && code !== 'CONNECTION_LOST') throw error;
      await delay(ASK_AGAIN_MS);
    }
}
