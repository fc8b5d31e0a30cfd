import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { onTestFinished } from 'vitest';

import { decodeBase64Url } from '#src/protocol/index.js';
import { initRelay, type RelayFolders } from '#src/relay/index.js';

import type { OnEnd } from './clean-up.js';
import { type ProgramResult, startProgram, type RunningProgram } from './program.js';
import { TEMPORARY_PREFIX } from './temporary-folder.js';

/** How a relay is to be. */
export interface RelayProcessOptions {
  /** Bytes that the chunks may take up. */
  readonly quota?: number;
  /** Keys of the INI with their values. */
  readonly ini?: Readonly<Record<string, string>>;
  /** Processes that serve its connections: 1 unless given, which starts faster. */
  readonly workers?: number;
  /** When to end it; at the end of the running test unless told otherwise. */
  readonly onEnd?: OnEnd;
}

/** A real `xftp-server` process with its folders. */
export interface RelayProcess {
  readonly port: number;
  /** SHA-256 of its identity certificate: 32 bytes. */
  readonly fingerprint: Uint8Array;
  /** Folders of its configuration and of its log. */
  readonly folders: RelayFolders;
  /** The running program. */
  readonly program: () => RunningProgram;
  /** Server address as text, without a password. */
  readonly address: string;
  /** The address with another port (a proxy's), or with a password. */
  readonly addressWith: (changes: { port?: number; password?: string }) => string;
  /** Folder of the chunk bodies. */
  readonly filesPath: string;
  readonly storeLogPath: string;
  /** Paths of the stored chunk bodies. */
  readonly chunkPaths: () => Promise<string[]>;
  /** Changes keys of the INI; the relay sees it at its next start. */
  readonly editIni: (values: Readonly<Record<string, string>>) => Promise<void>;
  /** Starts it again on the same folders and port. */
  readonly start: () => Promise<void>;
  /** Ends it with SIGTERM and waits. */
  readonly stop: () => Promise<ProgramResult>;
  /** Ends it with SIGKILL and waits. */
  readonly kill: () => Promise<ProgramResult>;
}

/**
 * Ports for relays: below those that the system gives to outgoing connections, so that a port is still free when its
 * relay is started again.
 */
const FIRST_PORT = 20_000;
const PORT_COUNT = 12_000;

/** Initialises a relay in a temporary folder and starts it. */
export async function startRelayProcess(options: RelayProcessOptions = {}): Promise<RelayProcess> {
  const onEnd = options.onEnd ?? onTestFinished;
  const folder = await mkdtemp(join(tmpdir(), TEMPORARY_PREFIX));
  onEnd(() => rm(folder, { recursive: true, force: true }));
  const filesPath = join(folder, 'files');
  const folders = { config: join(folder, 'etc'), log: join(folder, 'var') };
  const iniPath = join(folders.config, 'file-server.ini');
  const env = {
    XFTP_SERVER_CFG_PATH: folders.config,
    XFTP_SERVER_LOG_PATH: folders.log,
    XFTP_TRANSPORT_CONNECTION_WORKERS: String(options.workers ?? 1),
  };
  const run = { onEnd, env };
  // As `xftp-server init` does, without a start of a program for it.
  const { fingerprint } = await initRelay(folders, {
    filesPath,
    storageQuota: options.quota ?? 10 * 1024 ** 3,
    ip: '127.0.0.1',
    algorithm: 'ed448',
    storeLog: true,
  });
  const port = await freePort();
  const editIni = async (values: Readonly<Record<string, string>>): Promise<void> => {
    await writeFile(iniPath, withValues(await readFile(iniPath, 'utf8'), values));
  };
  await editIni({ port: String(port), ...options.ini });

  let program: RunningProgram | undefined;
  const start = async (): Promise<void> => {
    program = startProgram('xftp-server', ['start'], run);
    await program.printed(/Listening on port/);
  };
  const running = (): RunningProgram => {
    if (program === undefined) throw new Error('The relay was not started.');
    return program;
  };
  await start();
  return {
    port,
    fingerprint: decodeBase64Url(fingerprint),
    folders,
    program: running,
    address: `xftp://${fingerprint}@127.0.0.1:${String(port)}`,
    addressWith: ({ port: otherPort = port, password }) =>
      `xftp://${fingerprint}${password === undefined ? '' : `:${password}`}@127.0.0.1:${String(otherPort)}`,
    filesPath,
    storeLogPath: join(folders.log, 'file-server-store.log'),
    chunkPaths: async () => {
      const names = await readdir(filesPath);
      return names.filter((name) => !name.startsWith('.')).map((name) => join(filesPath, name));
    },
    editIni,
    start,
    stop: () => running().end('SIGTERM'),
    kill: () => running().end('SIGKILL'),
  };
}

/** A port of the loopback interface on which nothing listens. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORT_COUNT);
    const server = createServer();
    try {
      server.listen(port);
      await once(server, 'listening');
      return (server.address() as AddressInfo).port; // listens on a TCP port
    } catch {
      // Taken: another one.
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  }
}

/** Sets keys of an INI, which are there already, perhaps as comments. */
function withValues(ini: string, values: Readonly<Record<string, string>>): string {
  let text = ini;
  for (const [key, value] of Object.entries(values)) {
    const line = new RegExp(`^(?:# )?${key}:.*$`, 'm');
    if (!line.test(text)) throw new Error(`The INI has no key ${key}.`);
    text = text.replace(line, () => `${key}: ${value}`);
  }
  return text;
}
