import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { onTestFinished } from 'vitest';

import type { RelayOptions } from '#src/relay/index.js';

import { RawClient, type RawOptions } from './raw-client.js';
import { temporaryFolder } from './temporary-folder.js';

/** What a relay holds at the moment, after a garbage collection. */
export interface Holdings {
  /** Bytes of memory, buffers and HTTP/2 included. */
  readonly memory: number;
  /** Open file descriptors. */
  readonly files: number;
}

/** A relay in a process of its own, so that nothing of the test is counted. */
export interface MeasuredRelay {
  readonly port: number;
  readonly fingerprint: Uint8Array;
  /** A client with the handshake done. */
  readonly client: (options?: Pick<RawOptions, 'window'>) => Promise<RawClient>;
  readonly holdings: () => Promise<Holdings>;
}

const PROGRAM = `
import { readdirSync } from 'node:fs';
import { startRelay } from '${pathToFileURL(resolve('dist/relay/index.js')).href}';
const relay = await startRelay({ ...JSON.parse(process.argv[2]), listenHost: '127.0.0.1' });
process.on('message', async () => {
  // Finalizers run between the turns, and free more.
  for (let turn = 0; turn < 5; turn++) {
    gc();
    await new Promise(setImmediate);
  }
  const { heapUsed, external } = process.memoryUsage();
  process.send({ memory: heapUsed + external, files: readdirSync('/proc/self/fd').length });
});
process.send({ port: relay.port, fingerprint: Buffer.from(relay.fingerprint).toString('hex') });
`;

/** Starts a relay that ends with the test. */
export async function measuredRelay(options: Pick<RelayOptions, 'limits'> = {}): Promise<MeasuredRelay> {
  const folder = await temporaryFolder();
  const program = join(folder, 'relay.mjs');
  await writeFile(program, PROGRAM);
  const paths = { filesPath: join(folder, 'files'), storeLogPath: join(folder, 'store.log') };
  const child = fork(program, [JSON.stringify({ ...options, ...paths })], { execArgv: ['--expose-gc'] });
  const ended = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const started = await message<{ port: number; fingerprint: string }>(child, ended);
  const { port } = started;
  const fingerprint = Buffer.from(started.fingerprint, 'hex');
  return {
    port,
    fingerprint,
    client: async (connection = {}) => {
      const client = await RawClient.open({ ...connection, port, fingerprint });
      onTestFinished(() => client.close());
      return client;
    },
    holdings: async () => {
      child.send('measure');
      return await message<Holdings>(child, ended);
    },
  };
}

async function message<T>(child: ChildProcess, ended: Promise<unknown>): Promise<T> {
  const failed = ended.then((): never => {
    throw new Error('The relay ended.');
  });
  const [value] = (await Promise.race([once(child, 'message'), failed])) as [T]; // the program's own words
  return value;
}
