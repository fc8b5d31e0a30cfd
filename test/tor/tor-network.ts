import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { TEMPORARY_PREFIX } from '../support/temporary-folder.js';

const SCRIPT = fileURLToPath(new URL('tor-testnet.sh', import.meta.url));
const run = promisify(execFile);

/** A private Tor network of real `tor` processes on loopback. */
export interface TorNetwork {
  /** Port of the client's SOCKS proxy. */
  readonly socksPort: number;
  readonly onionHost: string;
  readonly onionPort: number;
  /** Identifiers of the circuits that carry streams to the port now. */
  readonly circuitsTo: (port: number) => Promise<ReadonlySet<string>>;
  /** Ends the client at once, as a crash does. */
  readonly killClient: () => Promise<void>;
  readonly restartClient: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** Starts a network with an onion service in front of a port of this machine; it takes half a minute. */
export async function startTorNetwork(targetPort: number): Promise<TorNetwork> {
  const home = await mkdtemp(join(tmpdir(), TEMPORARY_PREFIX));
  const folder = join(home, 'net');
  const call = async (...args: string[]): Promise<string> => (await run(SCRIPT, args)).stdout;
  const lines = await call('start', folder, String(targetPort), '--owner', String(process.pid));
  const value = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(lines)?.[1] ?? '';
  return {
    socksPort: Number(value('SOCKS_PORT')),
    onionHost: value('ONION_HOST'),
    onionPort: Number(value('ONION_PORT')),
    circuitsTo: async (port) => {
      const streams = (await call('circuits', folder)).matchAll(/^stream \S+ \S+ (\d+) \S*:(\d+)/gm);
      return new Set(
        [...streams]
          .filter(([, , to]) => Number(to) === port)
          .map(([, circuit = '']) => circuit)
          .filter((circuit) => circuit !== '0'),
      );
    },
    killClient: async () => {
      await call('kill-client', folder);
    },
    restartClient: async () => {
      await call('restart-client', folder);
    },
    stop: async () => {
      await call('stop', folder);
      await rm(home, { recursive: true, force: true });
    },
  };
}
