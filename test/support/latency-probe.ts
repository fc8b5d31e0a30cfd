import { fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { onTestFinished } from 'vitest';

import { temporaryFolder } from './temporary-folder.js';

const moduleOf = (path: string): string => pathToFileURL(resolve('dist', path)).href;

/** One honest client of each relay: asks them in turn, one request after the other. */
const PROGRAM = `
import { RelayClient } from '${moduleOf('client/index.js')}';
import { parseServerAddress } from '${moduleOf('protocol/index.js')}';
import { DEFAULT_DEADLINES, openSession, SessionPool } from '${moduleOf('transport/index.js')}';
const servers = process.argv.slice(2).map(parseServerAddress);
const open = (address, signal) => openSession(address, { deadlines: DEFAULT_DEADLINES, signal });
const client = new RelayClient(new SessionPool({ open, sessionsPerServer: 1, idleMs: 600_000 }));
const ask = async (server) => {
  const start = performance.now();
  await client.ping(server);
  return performance.now() - start;
};
for (const server of servers) await ask(server);
process.on('message', async (count) => {
  const times = servers.map(() => []);
  // On a machine that is busy with other things fewer must do.
  const until = performance.now() + 5000;
  for (let call = 0; call < count && performance.now() < until; call++)
    for (const [index, server] of servers.entries()) times[index].push(await ask(server));
  process.send(times);
});
process.send('ready');
`;

/** A client in a process of its own, which ends with the test: its time is not the test's. */
export interface LatencyProbe {
  /** Asks each relay so often, in turn, less often on a slow machine; gives the times of the answers of each, in ms. */
  readonly times: (count: number) => Promise<readonly (readonly number[])[]>;
}

/** Starts a client of relays. */
export async function latencyProbe(addresses: readonly string[]): Promise<LatencyProbe> {
  const program = join(await temporaryFolder(), 'probe.mjs');
  await writeFile(program, PROGRAM);
  const child = fork(program, addresses);
  const ended = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  await once(child, 'message');
  return {
    times: async (count) => {
      const answer = once(child, 'message') as Promise<[readonly (readonly number[])[]]>; // the program's own words
      child.send(count);
      return (await answer)[0];
    },
  };
}
