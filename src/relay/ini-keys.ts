import type { Ini, IniEntry } from './ini.js';

/** Every section of the INI with its keys: those of the reference (protocol reference, section 11.3), and this relay's. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  INFORMATION: [
    'source_code',
    'usage_conditions',
    'condition_amendments',
    'server_country',
    'operator',
    'operator_country',
    'website',
    'admin_simplex',
    'admin_email',
    'admin_pgp',
    'admin_pgp_fingerprint',
    'complaints_simplex',
    'complaints_email',
    'complaints_pgp',
    'complaints_pgp_fingerprint',
    'hosting',
    'hosting_country',
    'hosting_type',
  ],
  STORE_LOG: [
    'enable',
    'store_files',
    'db_connection',
    'db_schema',
    'db_pool_size',
    'db_store_log',
    'expire_files_hours',
    'log_stats',
    'prometheus_interval',
    'fsync',
  ],
  AUTH: ['new_files', 'create_password', 'control_port_admin_password', 'control_port_user_password'],
  TRANSPORT: [
    'host',
    'port',
    'listen',
    'connection_workers',
    'log_tls_errors',
    'control_port',
    'metrics_port',
  ],
  LIMITS: ['connections', 'connections_per_address', 'registrations_per_address'],
  FILES: ['path', 'storage_quota'],
  INACTIVE_CLIENTS: ['disconnect', 'ttl', 'check_interval'],
  WEB: ['static_path', 'http', 'https', 'cert', 'key'],
};

/** An INI in which the environment has its say, and one sentence for each name that means nothing. */
export interface IniWithEnvironment {
  readonly ini: Ini;
  readonly remarks: readonly string[];
}

/** The environment variable of a key: `XFTP_AUTH_NEW_FILES` for `new_files` in [AUTH]. */
export function variableOf(section: string, key: string): string {
  return `XFTP_${section}_${key.toUpperCase()}`;
}

/**
 * Puts the values of the environment in the place of those in the INI; an empty variable counts as none. Sections and
 * keys that are not known stay as they are and are named, as the reference ignores them without a word.
 *
 * @param name what to call the file in the remarks
 */
export function withEnvironment(
  ini: Ini,
  name: string,
  environment: Readonly<Record<string, string | undefined>>,
): IniWithEnvironment {
  const remarks = unknownKeys(ini, name);
  const merged = new Map([...ini].map(([section, keys]) => [section, new Map(keys)]));
  const known = new Set<string>();
  for (const [section, keys] of Object.entries(KEYS))
    for (const key of keys) {
      const variable = variableOf(section, key);
      known.add(variable);
      const value = environment[variable]?.trim();
      if (value === undefined || value === '') continue;
      const entries = merged.get(section) ?? new Map<string, IniEntry>();
      entries.set(key, { value, place: variable });
      merged.set(section, entries);
    }
  const ours = Object.keys(KEYS).map((section) => `XFTP_${section}_`);
  for (const variable of Object.keys(environment))
    if (!known.has(variable) && ours.some((prefix) => variable.startsWith(prefix)))
      remarks.push(`The environment variable ${variable} is none of this relay's: it has no effect.`);
  return { ini: merged, remarks };
}

function unknownKeys(ini: Ini, name: string): string[] {
  const remarks: string[] = [];
  for (const [section, entries] of ini) {
    const keys = KEYS[section];
    for (const [key, { place }] of entries)
      if (keys?.includes(key) !== true)
        remarks.push(
          `${name}, ${place}: the key "${key}" in [${section}] is none of this relay's: it has no effect.`,
        );
  }
  return remarks;
}
