import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { temporaryFolder } from './temporary-folder.js';

/** What a program asked the system for. */
export interface NetworkCall {
  readonly kind: 'tcp' | 'pipe' | 'lookup' | 'udp';
  /** Address, path of a socket, or the name to be looked up. */
  readonly address?: string;
  readonly port?: number;
}

/** Sees every connection, datagram socket and name look-up of programs. */
export interface NetworkWatch {
  /** To be added to the environment of the programs: it reaches their threads and children, too. */
  readonly env: Readonly<Record<string, string>>;
  /** What they have asked for so far, in order. */
  readonly calls: () => NetworkCall[];
  /** Number of processes and threads that were watched. */
  readonly watched: () => number;
}

const PRELOAD = pathToFileURL(fileURLToPath(new URL('network-watch-preload.js', import.meta.url))).href;

/** Makes a watch for programs of the running test. */
export async function watchNetwork(): Promise<NetworkWatch> {
  const path = join(await temporaryFolder(), 'calls.jsonl');
  writeFileSync(path, '');
  const lines = (): (NetworkCall | { readonly kind: 'watched' })[] =>
    readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as NetworkCall | { readonly kind: 'watched' }); // written by the preload
  return {
    env: { NODE_OPTIONS: `--import=${PRELOAD}`, XFTP_TEST_NETWORK_WATCH: path },
    calls: () => lines().filter((line): line is NetworkCall => line.kind !== 'watched'),
    watched: () => lines().filter(({ kind }) => kind === 'watched').length,
  };
}
