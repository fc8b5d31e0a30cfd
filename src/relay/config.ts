import { readFile } from 'node:fs/promises';

import { isPasswordText, parseSizeText, XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';
import { describeFileError } from './file-errors.js';
import { relayFiles, type RelayFolders } from './folders.js';
import { parseIni } from './ini.js';
import { IniReader } from './ini-reader.js';
import { type NetworkConfig, readNetworkConfig } from './network-config.js';

/** What the INI says (protocol reference, section 11.3). */
export interface RelayConfig extends NetworkConfig {
  /** Shown when the relay starts. */
  readonly sourceCode: string | undefined;
  /** Whether records survive a restart. */
  readonly storeLog: boolean;
  /** How long chunks are kept, in seconds. */
  readonly chunkLifeSeconds: number;
  /** Whether clients may make new chunks. */
  readonly newFiles: boolean;
  /** What clients must know to make new chunks. A secret. */
  readonly createPassword: string | undefined;
  /** Host names for the address that is shown, separated by commas. */
  readonly host: string | undefined;
  /** Folder of the chunk bodies. */
  readonly filesPath: string;
  /** Bytes, or undefined for no limit. */
  readonly storageQuota: number | undefined;
  /** When to close connections that nobody uses; undefined: never. */
  readonly inactiveClients: InactiveClients | undefined;
}

/** Times of closing unused connections, in seconds. */
export interface InactiveClients {
  readonly ttlSeconds: number;
  readonly checkSeconds: number;
}

/** Life of a chunk if the INI says nothing: what the reference relay gives it. */
const DEFAULT_LIFE_HOURS = 48;
/** 100 years: more is a mistake, and times stay far from where numbers lose precision. */
const MAX_LIFE_HOURS = 100 * 365 * 24;
/** Keys of the reference that have no effect yet. They are looked at all the same, since it stops at wrong ones too. */
const UNUSED_FLAGS = [
  ['STORE_LOG', 'db_store_log'],
  ['STORE_LOG', 'log_stats'],
  ['TRANSPORT', 'log_tls_errors'],
] as const;
/** What a timer of the platform can wait, in seconds. */
const MAX_TIMER_SECONDS = 2_147_483;

/**
 * Reads the INI of an initialised relay.
 *
 * @throws XftpError INVALID_CONFIG naming line, section, key and what is expected; `Error: server is not initialized …`
 * when there is none
 */
export async function loadRelayConfig(folders: RelayFolders): Promise<RelayConfig> {
  const path = relayFiles(folders).ini;
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') throw notInitialized();
    throw describeFileError(error, `${path} cannot be read`);
  }
  return parseRelayConfig(text, path);
}

/** The configuration in the text of an INI; of the keys that have no effect yet only booleans are looked at. */
export function parseRelayConfig(text: string, name: string): RelayConfig {
  const ini = new IniReader(parseIni(text, name), name);
  const store = ini.text('STORE_LOG', 'store_files');
  if (store !== undefined && store !== 'memory')
    throw ini.expected('STORE_LOG', 'store_files', 'memory: this relay has no database store');
  for (const [section, key] of UNUSED_FLAGS) ini.flag(section, key);
  return {
    ...readNetworkConfig(ini),
    sourceCode: ini.text('INFORMATION', 'source_code'),
    storeLog: ini.flag('STORE_LOG', 'enable') ?? false,
    chunkLifeSeconds:
      (ini.integer('STORE_LOG', 'expire_files_hours', 1, MAX_LIFE_HOURS) ?? DEFAULT_LIFE_HOURS) * 3600,
    newFiles: ini.flag('AUTH', 'new_files') ?? true,
    createPassword: readPassword(ini),
    host: ini.text('TRANSPORT', 'host'),
    filesPath: ini.required('FILES', 'path', ini.text('FILES', 'path')),
    storageQuota: readQuota(ini),
    inactiveClients: readInactiveClients(ini),
  };
}

/** The failure of commands that need a relay which was never initialised. */
export function notInitialized(): XftpError {
  return new XftpError(
    'INVALID_CONFIG',
    'Error: server is not initialized (INI does not exist).\nRun `xftp-server init` first.',
  );
}

function readPassword(ini: IniReader): string | undefined {
  const password = ini.value('AUTH', 'create_password');
  if (password === undefined) return undefined;
  // Clients send these bytes, so they must be what the protocol allows.
  const bytes = Buffer.from(password);
  if (bytes.length === 0 || bytes.length > 255 || !isPasswordText(bytes))
    throw ini.expected(
      'AUTH',
      'create_password',
      '1 to 255 printable ASCII characters without space, @, : and /, or not be there at all',
      'hide',
    );
  return password;
}

function readQuota(ini: IniReader): number | undefined {
  const text = ini.value('FILES', 'storage_quota');
  if (text === undefined) return undefined;
  try {
    return parseSizeText(text);
  } catch {
    throw ini.expected('FILES', 'storage_quota', 'a size such as 500mb or 10gb');
  }
}

function readInactiveClients(ini: IniReader): InactiveClients | undefined {
  if (ini.flag('INACTIVE_CLIENTS', 'disconnect') !== true) return undefined;
  const seconds = (key: string): number =>
    ini.required('INACTIVE_CLIENTS', key, ini.integer('INACTIVE_CLIENTS', key, 1, MAX_TIMER_SECONDS));
  return { ttlSeconds: seconds('ttl'), checkSeconds: seconds('check_interval') };
}
