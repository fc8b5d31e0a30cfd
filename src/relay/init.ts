import { access, readdir, rm, rmdir, writeFile } from 'node:fs/promises';
import { isAbsolute, join, resolve } from 'node:path';

import { DEFAULT_PORT, encodeBase64Url, XftpError } from '../protocol/index.js';
import { fingerprintOf, type SigningAlgorithm } from '../crypto/index.js';
import { errorCode, makeFolders } from '../system/index.js';
import { chunksPathOf, notInitialized } from './config.js';
import { createCredentials, writeCredentials } from './credentials.js';
import { describeFileError } from './file-errors.js';
import { relayFiles, type RelayFolders } from './folders.js';
import { checkFolderPath, checkPassword, hostNamesOf } from './init-values.js';
import { formatIni } from './ini-template.js';
import { lockRelayFiles, type Unlock } from './instance-lock.js';

/** What a new relay is to be. */
export interface InitOptions {
  /** Folder of the chunk bodies. */
  readonly filesPath: string;
  /** Bytes that they may take up. */
  readonly storageQuota: number;
  /** Host name for the server address; with none the address `ip` is used. */
  readonly fqdn?: string;
  readonly ip: string;
  readonly algorithm: SigningAlgorithm;
  readonly storeLog: boolean;
  /** What clients must know to make new chunks; nothing unless given. */
  readonly createPassword?: string;
  /** Folder of the web pages; LOG/www unless given. */
  readonly webPath?: string;
}

/** What clients need to know of a new relay. */
export interface InitializedRelay {
  /** Base64url of the fingerprint. */
  readonly fingerprint: string;
  readonly host: string;
}

/**
 * Makes the credentials and the INI of a new relay. The reference empties both folders first; this relay deletes
 * nothing: it refuses folders that hold files, which may be the keys or the log of another relay.
 *
 * @throws XftpError INVALID_CONFIG when there is a relay or a file already, INVALID_ARGUMENT for a path or a host that
 * does not fit, NO_PERMISSION or LOCAL_IO
 */
export async function initRelay(folders: RelayFolders, options: InitOptions): Promise<InitializedRelay> {
  const files = relayFiles(folders);
  if (await exists(files.ini))
    throw new XftpError(
      'INVALID_CONFIG',
      'Error: server is already initialized (INI exists).\nRun `xftp-server start`.',
    );
  checkFolderPath(options.filesPath, 'chunks');
  const webPath = options.webPath ?? files.defaultWebFolder;
  checkFolderPath(webPath, 'web pages');
  const host = options.fqdn ?? options.ip;
  // Several names are allowed in the address; a certificate has one.
  const [commonName] = hostNamesOf(host);
  hostNamesOf(options.ip);
  if (options.createPassword !== undefined) checkPassword(options.createPassword);
  const credentials = createCredentials(options.algorithm, commonName);
  await makeEmptyFolder(folders.config);
  await makeEmptyFolder(folders.log);
  await makeFolder(options.filesPath);
  await writeCredentials(folders, credentials);
  const ini = formatIni({
    storeLog: options.storeLog,
    host,
    port: DEFAULT_PORT,
    filesPath: absolute(options.filesPath),
    storageQuota: options.storageQuota,
    createPassword: options.createPassword,
    webPath: absolute(webPath),
    webCertificate: join(folders.config, 'web.crt'),
    webKey: join(folders.config, 'web.key'),
  });
  try {
    // Written last: an INI means that all the rest is there. It will hold passwords.
    await writeFile(files.ini, ini, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw describeFileError(error, `${files.ini} cannot be written`);
  }
  return { fingerprint: encodeBase64Url(fingerprintOf(credentials.identityCertificate)), host };
}

/** The same folder wherever the relay is started from. */
function absolute(path: string): string {
  return isAbsolute(path) ? path : resolve(path);
}

/** Files that this relay or the reference makes in each folder (protocol reference, section 11.2). */
const OWN_FILES = {
  config:
    /^(file-server\.ini|fingerprint|(ca|server)\.(key|crt|csr|srl)|openssl_(ca|server)\.conf|web\.(crt|key))$/,
  log: /^(file-server-store\.log.*|file-server-stats\..*|xftp-server-metrics\.txt.*|www)$/,
} as const;

/**
 * Deletes configuration, credentials and log of a relay that does not run, and their folders if nothing else is in them.
 * Chunk bodies stay, and so do files that no relay makes: a wrong path in the environment must not cost more than it
 * names. No relay can be started on the files while the answer is waited for.
 *
 * @param confirm asked once all that could stand in the way was looked at; nothing is deleted unless it says true
 * @param environment counts more than the INI, which tells where the chunks are
 * @returns the folders that were kept because of other files, both may be the same one; undefined when nothing was
 * deleted
 * @throws XftpError INVALID_CONFIG when there is no relay, ALREADY_RUNNING while it runs, NO_PERMISSION or LOCAL_IO
 */
export async function deleteRelay(
  folders: RelayFolders,
  confirm: () => Promise<boolean>,
  environment: Readonly<Record<string, string | undefined>> = {},
): Promise<readonly string[] | undefined> {
  await requireRelay(folders);
  const unlock = await lockForDeletion(folders, environment);
  try {
    if (!(await confirm())) return undefined;
    for (const which of ['log', 'config'] as const) await deleteOwnFiles(folders[which], OWN_FILES[which]);
    const kept: string[] = [];
    for (const folder of new Set([folders.log, folders.config]))
      if (!(await deleteFolder(folder))) kept.push(folder);
    return kept;
  } finally {
    await unlock();
  }
}

/** A relay whose INI makes no sense or whose folders are gone can be deleted too: nobody uses what is not there. */
async function lockForDeletion(
  folders: RelayFolders,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Unlock> {
  const named = await chunksPathOf(folders, environment);
  const filesPath = named !== undefined && (await isReachable(named)) ? named : undefined;
  const storeLog = (await isReachable(folders.log)) ? relayFiles(folders).storeLog : undefined;
  return lockRelayFiles(filesPath, storeLog, 'delete');
}

async function deleteOwnFiles(folder: string, own: RegExp): Promise<void> {
  try {
    const names = await readdir(folder);
    for (const name of names.filter((name) => own.test(name)))
      await rm(join(folder, name), { recursive: true, force: true });
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw describeFileError(error, `${folder} cannot be deleted`);
  }
}

/** Whether the folder is gone: it stays if something is in it. */
async function deleteFolder(folder: string): Promise<boolean> {
  try {
    await rmdir(folder);
  } catch (error) {
    const code = errorCode(error);
    // EBUSY: the mount point of a container's volume.
    if (code === 'ENOTEMPTY' || code === 'EBUSY') return false;
    if (code !== 'ENOENT') throw describeFileError(error, `${folder} cannot be deleted`);
  }
  return true;
}

/** @throws XftpError INVALID_CONFIG when no relay was initialised in these folders */
export async function requireRelay(folders: RelayFolders): Promise<void> {
  if (!(await exists(relayFiles(folders).ini))) throw notInitialized();
}

async function makeEmptyFolder(folder: string): Promise<void> {
  await makeFolder(folder);
  const [first] = await readdir(folder).catch((error: unknown) => {
    throw describeFileError(error, `The folder ${folder} cannot be read`);
  });
  if (first !== undefined)
    throw new XftpError(
      'INVALID_CONFIG',
      `The folder ${folder} is not empty (it holds ${JSON.stringify(first)}): move its files away and run init again.`,
    );
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await makeFolders(folder);
  } catch (error) {
    throw describeFileError(error, `The folder ${folder} cannot be made`);
  }
}

/** What cannot even be looked at is used by no relay of this user. */
async function isReachable(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw describeFileError(error, `${path} cannot be read`);
  }
}
