import { readdir, readlink } from 'node:fs/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { expect, it } from 'vitest';

import { startReceive, startSend } from '../faults/agent-fault-samples.js';
import { startRelayProcess } from '../support/relay-process.js';
import { testAgent, type TestAgent } from '../agent/agent-samples.js';

const MIB = 1024 ** 2;
/** More than what statements, statistics and the like may come to; less than a chunk's buffer for every ten transfers. */
const ALLOWED_GROWTH = 12 * MIB;

/** Bytes in use after everything that nobody needs was collected. */
function memoryInUse(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void; // the flag makes it
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Files that this process has open; connections to relays stay for a while. */
async function openFiles(): Promise<string[]> {
  const targets = await Promise.all(
    (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
  );
  return targets.filter((target) => target.startsWith('/') && !target.startsWith('/proc')).sort();
}

/** Sends so many files and receives each, several at once. */
async function roundTrips(agent: TestAgent, count: number): Promise<void> {
  const lane = async (): Promise<void> => {
    for (let number = 0; number < count / 10; number += 1) {
      const { id } = await startSend(agent, 100_000);
      await agent.reached(id, 'completed');
      const [{ description } = { description: '' }] = (await agent.descriptions(id)).recipients;
      const received = await startReceive(agent, description);
      await agent.reached(received.id, 'completed');
    }
  };
  await Promise.all(Array.from({ length: 10 }, lane));
  // The test's own record.
  agent.events.length = 0;
}

it('Two hundred sends and receives leave no memory and no open file behind', async ({ skip }) => {
  skip(process.platform !== 'linux', 'Only Linux tells about open files.');
  const relay = await startRelayProcess();
  const agent = await testAgent({ servers: [relay.address] });
  await roundTrips(agent, 30);
  const [memory, files] = [memoryInUse(), await openFiles()];
  await roundTrips(agent, 200);
  const grown = memoryInUse() - memory;
  process.stdout.write(`Memory in use has grown by ${(grown / MIB).toFixed(1)} MiB.\n`);
  expect(grown).toBeLessThan(ALLOWED_GROWTH);
  expect(await openFiles()).toEqual(files);
  expect(agent.info().transfers).toMatchObject({ completed: 460, failed: 0 });
  expect(agent.errors).toEqual([]);
}, 90_000);
