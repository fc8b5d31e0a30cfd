import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { isXftpError, XftpError } from '../protocol/index.js';
import {
  createCredentials,
  readCredentials,
  type RelayCredentials,
  type RelayFolders,
  type RunningRelay,
  startRelay,
  writeCredentials,
} from '../relay/index.js';
import { errorCode, makeFolders } from '../system/index.js';
import { localFailure } from '../transfer/index.js';
import type { Log } from './agent-log.js';

/** The embedded relay serves this machine only. */
const HOST = '127.0.0.1';
/** Keys and chunks are the user's alone. */
const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;

/**
 * Starts the relay inside the agent. Its identity, its port and its chunks are kept under the data folder, since
 * descriptions name the address: it must be the same after a restart.
 *
 * @throws XftpError ADDRESS_IN_USE when another program has taken the port, and as files fail
 */
export async function startEmbeddedRelay(dataDir: string, log: Log): Promise<RunningRelay> {
  const folder = join(dataDir, 'relay');
  const portFile = join(folder, 'port');
  const credentials = await ownCredentials(folder).catch((error: unknown) => {
    throw localFailure(error, folder);
  });
  const port = await readPort(portFile);
  const relay = await startRelay({
    filesPath: join(folder, 'files'),
    storeLogPath: join(folder, 'store.log'),
    credentials,
    port,
    host: HOST,
    listenHost: HOST,
    report: (problem) => {
      log('warn', `Embedded relay: ${problem}`);
    },
  }).catch((error: unknown) => {
    throw isXftpError(error, 'ADDRESS_IN_USE') && port !== 0 ? portTaken(port, portFile, error) : error;
  });
  if (port === 0) await writePort(portFile, relay.port);
  return relay;
}

async function ownCredentials(folder: string): Promise<RelayCredentials> {
  const keys = keyFolders(join(folder, 'keys'));
  await makeFolders(folder, PRIVATE_FOLDER);
  if (!(await exists(keys.config))) {
    // Made under another name first: half of the keys must never count as the relay's identity.
    const fresh = keyFolders(join(folder, 'keys.new'));
    await rm(fresh.config, { recursive: true, force: true });
    await mkdir(fresh.config, { mode: PRIVATE_FOLDER });
    await writeCredentials(fresh, createCredentials('ed25519', HOST));
    await rename(fresh.config, keys.config);
  }
  return readCredentials(keys);
}

function keyFolders(folder: string): RelayFolders {
  return { config: folder, log: folder };
}

/** The port of earlier runs; 0 if there was none. */
async function readPort(path: string): Promise<number> {
  if (!(await exists(path))) return 0;
  const text = (await readFile(path, 'utf8')).trim();
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port >= 1 && port <= 65_535) return port;
  throw new XftpError('INVALID_CONFIG', `${path} must hold the port of the embedded relay: write it there.`);
}

async function writePort(path: string, port: number): Promise<void> {
  await writeFile(`${path}.new`, `${String(port)}\n`, { mode: PRIVATE_FILE });
  await rename(`${path}.new`, path);
}

function portTaken(port: number, portFile: string, cause: unknown): XftpError {
  return new XftpError(
    'ADDRESS_IN_USE',
    `Port ${String(port)} of the embedded relay is taken by another program: end that one, or delete ${portFile} ` +
      'to get another port, which makes descriptions with the old one useless.',
    { cause },
  );
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    (error: unknown) => {
      if (errorCode(error) === 'ENOENT') return false;
      throw localFailure(error, path);
    },
  );
}
