import { randomBytes } from 'node:crypto';
import { join } from 'node:path';

import { onTestFinished } from 'vitest';

import { type RelayOptions, type RunningRelay, startRelay } from '#src/relay/index.js';

import { RawClient } from './raw-client.js';
import { temporaryFolder } from './temporary-folder.js';

/** A relay of the running test, on loopback, in a temporary folder. */
export interface TestRelay extends RunningRelay {
  readonly filesPath: string;
  readonly storeLogPath: string;
  /** What it reported. */
  readonly problems: string[];
  /** A client with the handshake done. */
  readonly client: (version?: number) => Promise<RawClient>;
  /** The same folders and identity, again. */
  readonly restart: (options?: Partial<RelayOptions>) => Promise<TestRelay>;
}

/** Starts a relay that ends with the test. */
export async function testRelay(options: Partial<RelayOptions> = {}, folder?: string): Promise<TestRelay> {
  const home = folder ?? (await temporaryFolder());
  const problems: string[] = [];
  const filesPath = options.filesPath ?? join(home, 'files');
  const storeLogPath = options.storeLogPath ?? join(home, 'file-server-store.log');
  const relay = await startRelay({
    listenHost: '127.0.0.1',
    report: (problem) => problems.push(problem),
    ...options,
    filesPath,
    storeLogPath,
  });
  onTestFinished(() => relay.stop());
  return {
    ...relay,
    filesPath,
    storeLogPath,
    problems,
    client: async (version = 3) => {
      const client = await RawClient.open({ port: relay.port, fingerprint: relay.fingerprint, version });
      onTestFinished(() => client.close());
      return client;
    },
    restart: async (changes = {}) => {
      await relay.stop();
      return await testRelay({ ...options, ...changes }, home);
    },
  };
}

/** A chunk's content. */
export function chunkBytes(size = 65536): Buffer {
  return randomBytes(size);
}
