import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { ChunkStore } from '#src/agent/chunk-store.js';
import { DataFolder } from '#src/agent/data-folder.js';
import { Database } from '#src/agent/database.js';
import { SendStore } from '#src/agent/detail-stores.js';
import { describeTransfer } from '#src/agent/describe-transfer.js';
import { EventLog } from '#src/agent/event-log.js';
import { SYSTEM_CLOCK } from '#src/agent/index.js';
import { migrate } from '#src/agent/migrations.js';
import { RelayTaskStore } from '#src/agent/relay-task-store.js';
import { newTransferId } from '#src/agent/transfer-id.js';
import { TransferStore } from '#src/agent/transfer-store.js';

import { clientOf, memoryOf } from '../support/agent-observation.js';
import { startFaultProxy } from '../support/fault-proxy.js';
import { startProgram } from '../support/program.js';
import { freePort } from '../support/relay-process.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { loopbackRelay, startReceive, throughPort } from '../faults/agent-fault-samples.js';
import { CALLER, testAgent } from '../agent/agent-samples.js';

const QUEUED = 10_000;
const SMALL_FILES = 1000;
const MIB = 1024 ** 2;
const DAY_MS = 24 * 3600_000;

/** Writes so many queued sends of one file, as the agent would have. */
function fillQueue(dataDir: string, path: string, count: number): void {
  const folder = new DataFolder(dataDir);
  const database = new Database(folder.database);
  migrate(database);
  const sends = new SendStore(database);
  const chunks = new ChunkStore(database, SYSTEM_CLOCK);
  const relayTasks = new RelayTaskStore(database, SYSTEM_CLOCK);
  const transfers = new TransferStore({
    database,
    clock: SYSTEM_CLOCK,
    events: new EventLog(database, SYSTEM_CLOCK, () => undefined),
    describe: (row) => describeTransfer(row, { sends, chunks, relayTasks, unapproved: () => [] }),
  });
  const deadline = Date.now() + DAY_MS;
  database.transaction(() => {
    for (let number = 0; number < count; number += 1) {
      const id = newTransferId();
      transfers.create(
        {
          id,
          direction: 'send',
          tokenId: 1,
          priority: 0,
          deadline,
          fileName: 'source.bin',
          fileSize: 3,
          path,
        },
        () => {
          sends.create(id, {
            handedOut: 1,
            recipients: 1,
            redirect: 'auto',
            replicas: { wanted: 1, required: 1 },
          });
        },
      );
    }
  });
  database.close();
  folder.unlock();
}

describe('An agent with ten thousand transfers in its queue', () => {
  it('is ready soon, lists a page quickly and stays small', async () => {
    const home = await temporaryFolder();
    const [dataDir, path] = [join(home, 'agent'), join(home, 'source.bin')];
    await writeFile(path, 'abc');
    fillQueue(dataDir, path, QUEUED);
    const dead = `xftp://${'A'.repeat(43)}=@127.0.0.1:${String(await freePort())}`;
    const start = performance.now();
    const program = startProgram(
      'xftp-agent',
      ['start', '--listen', '127.0.0.1:0', '--downloads', home, '--server', dead],
      { env: { XFTP_AGENT_DATA_DIR: dataDir, HOME: home } },
    );
    const client = await clientOf(program, dataDir);
    const startMs = performance.now() - start;
    const { transfers } = await client.agent.info();
    expect(Object.values(transfers).reduce((sum, count) => sum + count, 0)).toBe(QUEUED);

    const pageMs: number[] = [];
    let cursor: string | undefined;
    let seen = 0;
    do {
      const before = performance.now();
      const page = await client.transfers.list({ limit: 100, ...(cursor === undefined ? {} : { cursor }) });
      pageMs.push(performance.now() - before);
      seen += page.items.length;
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(seen).toBe(QUEUED);

    const peak = await memoryOf(program.pid, 'VmHWM');
    const sorted = pageMs.sort((a, b) => a - b);
    const median = sorted[sorted.length >> 1] ?? Infinity;
    process.stdout.write(
      `Ready after ${startMs.toFixed(0)} ms; a page of 100 takes ${median.toFixed(1)} ms, at most ` +
        `${(sorted.at(-1) ?? 0).toFixed(1)} ms; ${(peak / MIB).toFixed(0)} MiB at most.\n`,
    );
    expect(peak).toBeLessThan(250 * MIB);
    // Wanted are 3 s and 20 ms; machines are noisy.
    expect(startMs).toBeLessThan(15_000);
    expect(median).toBeLessThan(200);
  });
});

describe('A thousand small files for one relay', () => {
  it('go over at most four sessions at once, and each arrives', async () => {
    const relay = await loopbackRelay();
    const proxy = await startFaultProxy(relay.port);
    const agent = await testAgent({ servers: [throughPort(relay.address, proxy.port)] });
    const sources = join(agent.folder, 'sources');
    await mkdir(sources);
    const ids: string[] = [];
    for (let number = 0; number < SMALL_FILES; number += 1) {
      const path = join(sources, `${String(number)}.txt`);
      await writeFile(path, `The file with number ${String(number)}.`);
      ids.push((await agent.send({ path, snapshot: false, redirect: 'never' }, CALLER)).id);
    }
    await expect
      .poll(() => agent.info().transfers.completed, { timeout: 240_000, interval: 100 })
      .toBe(SMALL_FILES);
    expect(proxy.mostOpen()).toBeLessThanOrEqual(4);
    expect(agent.errors).toEqual([]);
    const sample = ids.filter((_, index) => index % 50 === 7);
    expect(sample).toHaveLength(20);
    for (const sent of sample) {
      const [{ description } = { description: '' }] = (await agent.descriptions(sent)).recipients;
      const { id } = await startReceive(agent, description);
      const { path = '' } = await agent.reached(id, 'completed');
      expect(await readFile(path)).toEqual(await readFile(agent.get(sent).path ?? ''));
    }
  }, 300_000);
});
