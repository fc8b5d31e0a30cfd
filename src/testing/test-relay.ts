import { join } from 'node:path';

import { type RelayOptions, startRelay } from '../relay/index.js';
import { makeTemporaryFolder } from './temporary-folder.js';

/** Descriptions name the relay by this host; nobody else can reach it. */
const HOST = '127.0.0.1';

/** What may differ from a relay that takes everything; see `RelayOptions` for each. */
export interface TestRelayOptions extends Pick<RelayOptions, 'createPassword' | 'newFiles' | 'storageQuota'> {
  /** Folder to make the temporary folder in; the system's unless given. */
  readonly temporaryRoot?: string;
}

/** A relay in this process. */
export interface TestRelay {
  /** Server address, with the password if there is one. */
  readonly address: string;
  /** Bytes of all chunks on it. */
  readonly usedBytes: () => number;
  /** Ends the relay and removes its folder. Calling it again waits for the same end. */
  readonly stop: () => Promise<void>;
}

/**
 * Starts a relay on 127.0.0.1, on a port that the system chooses, with an identity of its own and its chunks in a
 * temporary folder.
 */
export async function startTestRelay(options: TestRelayOptions = {}): Promise<TestRelay> {
  const { temporaryRoot, ...rest } = options;
  const folder = await makeTemporaryFolder('xftp-test-relay-', temporaryRoot);
  try {
    const relay = await startRelay({
      ...rest,
      filesPath: join(folder.path, 'files'),
      host: HOST,
      listenHost: HOST,
    });
    let stopped: Promise<void> | undefined;
    return {
      address: withPassword(relay.address, options.createPassword),
      usedBytes: relay.usedBytes,
      stop: () => (stopped ??= relay.stop().finally(folder.remove)),
    };
  } catch (error) {
    await folder.remove();
    throw error;
  }
}

function withPassword(address: string, password: string | undefined): string {
  return password === undefined ? address : address.replace('@', `:${password}@`);
}
