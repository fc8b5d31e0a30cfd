import { isIP, isIPv4, SocketAddress } from 'node:net';

import type { IniReader } from './ini-reader.js';
import type { RelayLimits } from './limits.js';

/** What browsers get, and where. */
export interface WebConfig {
  /** Undefined: they are not served on the relay's ports, and not over HTTPS. */
  readonly certificate: WebCertificatePaths | undefined;
  /** Folder of the pages. */
  readonly pagesPath: string | undefined;
  /** Port of the pages alone over HTTP; undefined: none. */
  readonly httpPort: number | undefined;
  /** The same over HTTPS. */
  readonly httpsPort: number | undefined;
}

/** Where browsers' certificate is. */
export interface WebCertificatePaths {
  readonly certificatePath: string;
  readonly keyPath: string;
}

/** What the INI says about the network. */
export interface NetworkConfig {
  /** The port in the server address: the first of `ports`. */
  readonly port: number;
  readonly ports: readonly number[];
  /** Addresses to listen on; undefined: all of the machine's. */
  readonly listenAddresses: readonly string[] | undefined;
  /** Processes that serve connections; 1: the main one does. Undefined: as there are cores. */
  readonly connectionWorkers: number | undefined;
  readonly web: WebConfig;
  /** Those that the INI sets. */
  readonly limits: Partial<RelayLimits>;
}

/** What a limit may be set to: more is a mistake. */
const MAX_LIMIT = 10_000_000;
/** More is a mistake: no machine would have the memory. */
const MAX_WORKERS = 256;

/**
 * Reads [WEB], [LIMITS] and what [TRANSPORT] says about ports and addresses. Each remark is a sentence about a key that
 * cannot have the effect that it is meant to have.
 */
export function readNetworkConfig(ini: IniReader): {
  readonly network: NetworkConfig;
  readonly remarks: readonly string[];
} {
  const [port, ...others] = readPorts(ini);
  const ports = [port, ...others];
  const { web, remarks } = readWeb(ini, ports);
  const limits = {
    ...readLimit(ini, 'connections', 'connections'),
    ...readLimit(ini, 'connections_per_address', 'connectionsPerAddress'),
    ...readLimit(ini, 'registrations_per_address', 'registrationsPerAddress'),
  };
  const listenAddresses = readAddresses(ini);
  const connectionWorkers = ini.integer('TRANSPORT', 'connection_workers', 1, MAX_WORKERS);
  return { network: { port, ports, listenAddresses, connectionWorkers, web, limits }, remarks };
}

/** Ports of the operator's side, which are on 127.0.0.1. */
export interface OperatorPorts {
  /** Of the control commands; undefined: none. */
  readonly controlPort: number | undefined;
  /** Of the metrics over HTTP; undefined: none. */
  readonly metricsPort: number | undefined;
}

/**
 * Reads the ports of the operator's side.
 *
 * @throws XftpError INVALID_CONFIG when one of them is that of another key too, where both cannot listen
 */
export function readOperatorPorts(
  ini: IniReader,
  { ports, listenAddresses, web }: NetworkConfig,
): OperatorPorts {
  const taken = new Map<number, string>();
  const take = (port: number | undefined, section: string, key: string): void => {
    if (port !== undefined && port !== 0) taken.set(port, `${key} in [${section}]`);
  };
  if (includesLoopback(listenAddresses)) {
    take(web.httpsPort, 'WEB', 'https');
    take(web.httpPort, 'WEB', 'http');
    for (const port of ports) take(port, 'TRANSPORT', 'port');
  }
  const read = (key: string): number | undefined => {
    const port = ini.integer('TRANSPORT', key, 0, 65535);
    const other = port === undefined ? undefined : taken.get(port);
    if (other !== undefined) throw ini.expected('TRANSPORT', key, `another port than ${other}`);
    take(port, 'TRANSPORT', key);
    return port;
  };
  return { controlPort: read('control_port'), metricsPort: read('metrics_port') };
}

/** Whether whoever listens on these addresses has their ports on 127.0.0.1 too: all of IPv6 takes IPv4 in. */
function includesLoopback(addresses: readonly string[] | undefined): boolean {
  return addresses?.some((address) => ['127.0.0.1', '0.0.0.0', '::'].includes(address)) ?? true;
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
  return withoutTakenIn(new Set(addresses.map(canonical)));
}

/** The usual spelling of an IPv6 address; the zone of one that is only valid on a link stays. */
function canonical(address: string): string {
  if (isIPv4(address)) return address;
  const [bare, zone] = address.split('%');
  const spelling = new SocketAddress({ address: bare, family: 'ipv6' }).address;
  return zone === undefined ? spelling : `${spelling}%${zone}`;
}

/** Leaves out what another address takes in: all of IPv6 does so with IPv4 too, unless that has a place of its own. */
function withoutTakenIn(addresses: ReadonlySet<string>): readonly string[] {
  const [all4, all6] = [addresses.has('0.0.0.0'), addresses.has('::')];
  return [...addresses].filter(
    (address) => ['0.0.0.0', '::'].includes(address) || !(isIPv4(address) ? all4 || all6 : all6),
  );
}

function readWeb(
  ini: IniReader,
  ports: readonly number[],
): { readonly web: WebConfig; readonly remarks: readonly string[] } {
  const certificatePath = ini.text('WEB', 'cert');
  const keyPath = ini.text('WEB', 'key');
  const isWhole = certificatePath !== undefined && keyPath !== undefined;
  const { web, remarks } = withoutUseless(
    {
      certificate: isWhole ? { certificatePath, keyPath } : undefined,
      pagesPath: ini.text('WEB', 'static_path'),
      httpPort: ini.integer('WEB', 'http', 0, 65535),
      httpsPort: ini.integer('WEB', 'https', 0, 65535),
    },
    ports,
  );
  if (isWhole || (certificatePath === undefined && keyPath === undefined)) return { web, remarks };
  const [there, missing] = keyPath === undefined ? ['cert', 'key'] : ['key', 'cert'];
  return {
    web,
    remarks: [
      `[WEB] ${there} has no effect: the web certificate is not used without ${missing}; set ${missing} too.`,
      ...remarks,
    ],
  };
}

/** Leaves out ports for pages that there cannot be, with a sentence for each: the reference starts without them too. */
function withoutUseless(
  web: WebConfig,
  ports: readonly number[],
): { readonly web: WebConfig; readonly remarks: readonly string[] } {
  const remarks: string[] = [];
  const useful = (key: 'http' | 'https', port: number | undefined): number | undefined => {
    const reason = port === undefined ? undefined : uselessness(key, port, web, ports);
    if (reason === undefined) return port;
    remarks.push(`[WEB] ${key} has no effect: ${reason}.`);
    return undefined;
  };
  const { httpPort, httpsPort } = web;
  return {
    web: { ...web, httpPort: useful('http', httpPort), httpsPort: useful('https', httpsPort) },
    remarks,
  };
}

function uselessness(
  key: 'http' | 'https',
  port: number,
  { pagesPath, certificate, httpPort }: WebConfig,
  ports: readonly number[],
): string | undefined {
  if (pagesPath === undefined) return 'there are no pages without static_path';
  if (key === 'https' && certificate === undefined) return 'it needs cert and key';
  if (port === 0) return undefined;
  if (!ports.includes(port))
    return key === 'https' && port === httpPort ? `port ${String(port)} is that of http` : undefined;
  return key === 'https'
    ? `port ${String(port)} is the relay's own, where browsers get the pages in any case`
    : `port ${String(port)} is the relay's own, where there is only TLS`;
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
