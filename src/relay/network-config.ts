import { isIP } from 'node:net';

import type { IniReader } from './ini-reader.js';
import type { RelayLimits } from './limits.js';

/** Where browsers' certificate and pages are. */
export interface WebConfig {
  readonly certificatePath: string;
  readonly keyPath: string;
  /** Folder of the pages. */
  readonly pagesPath: string | undefined;
}

/** What the INI says about the network. */
export interface NetworkConfig {
  /** The port in the server address: the first of `ports`. */
  readonly port: number;
  readonly ports: readonly number[];
  /** Addresses to listen on; undefined: all of the machine's. */
  readonly listenAddresses: readonly string[] | undefined;
  /** Undefined when browsers are not served. */
  readonly web: WebConfig | undefined;
  /** Those that the INI sets. */
  readonly limits: Partial<RelayLimits>;
}

/** What a limit may be set to: more is a mistake. */
const MAX_LIMIT = 10_000_000;

/** Reads [WEB], [LIMITS] and what [TRANSPORT] says about ports and addresses. */
export function readNetworkConfig(ini: IniReader): NetworkConfig {
  const [port, ...others] = readPorts(ini);
  return {
    port,
    ports: [port, ...others],
    listenAddresses: readAddresses(ini),
    web: readWeb(ini),
    limits: {
      ...readLimit(ini, 'connections', 'connections'),
      ...readLimit(ini, 'connections_per_address', 'connectionsPerAddress'),
      ...readLimit(ini, 'registrations_per_address', 'registrationsPerAddress'),
    },
  };
}

function readPorts(ini: IniReader): [number, ...number[]] {
  const text = ini.required('TRANSPORT', 'port', ini.value('TRANSPORT', 'port'));
  const ports = text.split(',').map((part) => (/^\s*\d{1,5}\s*$/.test(part) ? Number(part) : NaN));
  const [first, ...others] = ports;
  const isRight = ports.every((port) => port <= 65535) && new Set(ports).size === ports.length;
  if (first === undefined || !isRight)
    throw ini.expected(
      'TRANSPORT',
      'port',
      'a whole number from 0 to 65535, or several different ones with commas',
    );
  return [first, ...others];
}

function readAddresses(ini: IniReader): readonly string[] | undefined {
  const text = ini.text('TRANSPORT', 'listen');
  if (text === undefined) return undefined;
  const addresses = text.split(',').map((part) => part.trim());
  if (!addresses.every((address) => isIP(address) > 0))
    throw ini.expected('TRANSPORT', 'listen', 'an IPv4 or IPv6 address, or several with commas');
  return addresses;
}

function readWeb(ini: IniReader): WebConfig | undefined {
  const certificatePath = ini.text('WEB', 'cert');
  const keyPath = ini.text('WEB', 'key');
  if (certificatePath === undefined && keyPath === undefined) return undefined;
  return {
    certificatePath: ini.required('WEB', 'cert', certificatePath),
    keyPath: ini.required('WEB', 'key', keyPath),
    pagesPath: ini.text('WEB', 'static_path'),
  };
}

/** `off` is the word for a limit that there is not. */
function readLimit(ini: IniReader, key: string, limit: keyof RelayLimits): Partial<RelayLimits> {
  const text = ini.value('LIMITS', key);
  if (text === undefined) return {};
  if (text === 'off') return { [limit]: Infinity };
  const number = /^\d{1,8}$/.test(text) ? Number(text) : NaN;
  if (number >= 1 && number <= MAX_LIMIT) return { [limit]: number };
  throw ini.expected('LIMITS', key, `a whole number from 1 to ${String(MAX_LIMIT)}, or off`);
}
