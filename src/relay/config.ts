import { readFile } from 'node:fs/promises';

import { XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';
import { describeFileError } from './file-errors.js';
import { FLUSH_POLICIES, type FlushPolicy } from './flush-schedule.js';
import { relayFiles, type RelayFolders } from './folders.js';
import { isPassword, PASSWORD_RULE } from './init-values.js';
import { parseIni } from './ini.js';
import { withEnvironment } from './ini-keys.js';
import { IniReader } from './ini-reader.js';
import type { ControlPasswords } from './operator/control-session.js';
import { parseSizeOption } from './size-option.js';
import {
  type NetworkConfig,
  type OperatorPorts,
  readNetworkConfig,
  readOperatorPorts,
} from './network-config.js';

/** What the INI says (protocol reference, section 11.3). */
export interface RelayConfig extends NetworkConfig, OperatorPorts {
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
  /** When what clients are told of is forced to the disk. */
  readonly fsync: FlushPolicy;
  /** Whether a line of statistics is written each day, and figures are kept over restarts. */
  readonly dailyStatistics: boolean;
  /** How often the file with metrics for Prometheus is written, in seconds; undefined: never. */
  readonly metricsFileSeconds: number | undefined;
  /** Who may give which control commands. Secrets. */
  readonly controlPasswords: ControlPasswords;
  /** Whether TLS handshakes that fail are reported. */
  readonly logTlsErrors: boolean;
  /** Sentences about what is in the INI or the environment and has no effect. */
  readonly remarks: readonly string[];
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
/** What a timer of the platform can wait, in seconds. */
const MAX_TIMER_SECONDS = 2_147_483;

/**
 * Reads the INI of an initialised relay.
 *
 * @param environment its `XFTP_SECTION_KEY` variables count more than the keys of the INI
 * @throws XftpError INVALID_CONFIG naming line, section, key and what is expected; `Error: server is not initialized …`
 * when there is none
 */
export async function loadRelayConfig(
  folders: RelayFolders,
  environment: Readonly<Record<string, string | undefined>> = {},
): Promise<RelayConfig> {
  const path = relayFiles(folders).ini;
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') throw notInitialized();
    throw describeFileError(error, `${path} cannot be read`);
  }
  return parseRelayConfig(text, path, environment);
}

/** The folder of chunks that an INI names, whatever else is wrong with it; undefined when it cannot be told. */
export async function chunksPathOf(
  folders: RelayFolders,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string | undefined> {
  const path = relayFiles(folders).ini;
  try {
    const { ini } = withEnvironment(parseIni(await readFile(path, 'utf8'), path), path, environment);
    return new IniReader(ini, path).text('FILES', 'path');
  } catch {
    return undefined;
  }
}

/** The configuration in the text of an INI and in the environment. */
export function parseRelayConfig(
  text: string,
  name: string,
  environment: Readonly<Record<string, string | undefined>> = {},
): RelayConfig {
  const { ini: values, remarks } = withEnvironment(parseIni(text, name), name, environment);
  const ini = new IniReader(values, name);
  checkUnused(ini);
  const { network, remarks: networkRemarks } = readNetworkConfig(ini);
  return {
    ...network,
    ...readOperatorPorts(ini, network),
    sourceCode: ini.text('INFORMATION', 'source_code'),
    storeLog: ini.flag('STORE_LOG', 'enable') ?? false,
    chunkLifeSeconds:
      (ini.integer('STORE_LOG', 'expire_files_hours', 1, MAX_LIFE_HOURS) ?? DEFAULT_LIFE_HOURS) * 3600,
    newFiles: ini.flag('AUTH', 'new_files') ?? true,
    createPassword: readPassword(ini, 'create_password'),
    host: readHosts(ini),
    filesPath: ini.required('FILES', 'path', ini.text('FILES', 'path')),
    storageQuota: readQuota(ini),
    inactiveClients: readInactiveClients(ini),
    fsync: ini.choice('STORE_LOG', 'fsync', FLUSH_POLICIES) ?? 'always',
    dailyStatistics: ini.flag('STORE_LOG', 'log_stats') ?? false,
    metricsFileSeconds: ini.integer('STORE_LOG', 'prometheus_interval', 1, MAX_TIMER_SECONDS),
    controlPasswords: {
      admin: readPassword(ini, 'control_port_admin_password'),
      user: readPassword(ini, 'control_port_user_password'),
    },
    logTlsErrors: ini.flag('TRANSPORT', 'log_tls_errors') ?? false,
    remarks: [...remarks, ...networkRemarks],
  };
}

/** Keys that are of no use here but would stop the reference when they are wrong: it must be able to go on. */
function checkUnused(ini: IniReader): void {
  const store = ini.text('STORE_LOG', 'store_files');
  if (store !== undefined && store !== 'memory')
    throw ini.expected(
      'STORE_LOG',
      'store_files',
      'memory, since this relay has no PostgreSQL store (the reference moves its records into a store log with ' +
        '`database export`)',
    );
  ini.flag('STORE_LOG', 'db_store_log');
}

/** The failure of commands that need a relay which was never initialised. */
export function notInitialized(): XftpError {
  return new XftpError(
    'INVALID_CONFIG',
    'Error: server is not initialized (INI does not exist).\nRun `xftp-server init` first.',
  );
}

function readPassword(ini: IniReader, key: string): string | undefined {
  const password = ini.value('AUTH', key);
  if (password !== undefined && !isPassword(password))
    throw ini.expected('AUTH', key, `${PASSWORD_RULE}, or not be there at all`, 'hide');
  return password;
}

/** People put blanks behind commas; an address has none. */
function readHosts(ini: IniReader): string | undefined {
  return ini
    .text('TRANSPORT', 'host')
    ?.split(',')
    .map((name) => name.trim())
    .join(',');
}

function readQuota(ini: IniReader): number | undefined {
  const text = ini.value('FILES', 'storage_quota');
  if (text === undefined) return undefined;
  try {
    return parseSizeOption(text);
  } catch {
    throw ini.expected('FILES', 'storage_quota', 'a size such as 500mb, 10gb or 1.5tb');
  }
}

function readInactiveClients(ini: IniReader): InactiveClients | undefined {
  if (ini.flag('INACTIVE_CLIENTS', 'disconnect') !== true) return undefined;
  const seconds = (key: string): number =>
    ini.required('INACTIVE_CLIENTS', key, ini.integer('INACTIVE_CLIENTS', key, 1, MAX_TIMER_SECONDS));
  return { ttlSeconds: seconds('ttl'), checkSeconds: seconds('check_interval') };
}
