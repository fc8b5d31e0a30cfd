import { AddressFault, readAddressPart } from './address-fault.js';
import { decodeBase64Url, encodeBase64Url } from './base64url.js';
import { bytesEqual, encodeUtf8 } from './bytes.js';
import { MAX_SHORT } from './encoding.js';
import { compareArrays, compareHosts, type Host, readHost } from './host.js';
import { isPasswordText } from './password.js';

/** The port of an address without one. */
export const DEFAULT_PORT = 443;

/** Length of a fingerprint (SHA-256 of the relay's CA certificate), in bytes. */
export const FINGERPRINT_LENGTH = 32;

/** Real addresses have at most a few hosts; without a bound, work on descriptions could grow as its square. */
const MAX_ADDRESS_LENGTH = 2048;

const SCHEME = 'xftp://';

/** How failures begin. */
const WRONG = 'A server address is wrong';

/** The address of a relay (protocol reference, section 9.1). */
export interface ServerAddress {
  /** SHA-256 of the relay's CA certificate: 32 bytes. */
  readonly fingerprint: Uint8Array;
  /** What the relay wants to hear before it takes new chunks: 1 to 255 UTF-8 bytes. A secret. */
  readonly password?: string;
  /** Alternatives for the same relay. */
  readonly hosts: readonly [Host, ...Host[]];
  /** 1 to 65535; absent if the address has none, which means 443 but is not written. */
  readonly port?: number;
}

/** How strictly an address is read. */
export interface ParseAddressOptions {
  /** false: take a fingerprint of any length, as the reference's parser does. Such an address cannot be used. */
  readonly checkFingerprint?: boolean;
}

/**
 * Reads `xftp://FINGERPRINT[:PASSWORD]@HOST[,HOST…][:PORT]`.
 *
 * A bare IPv6 address takes all it can: `fe80::1:5443` is a host without a port, as in the reference. Only when
 * the whole is no IPv6 address may its last group be the port (`1:2:3:4:5:6:7:8:5443`). Brackets are never in doubt.
 *
 * @throws XftpError INVALID_ADDRESS. The message says which part is wrong and repeats nothing of the text.
 */
export function parseServerAddress(text: string, options: ParseAddressOptions = {}): ServerAddress {
  return readAddressPart(WRONG, () => readServerAddress(text, options));
}

/**
 * Checks a password on its own: whether an address may have it.
 *
 * @throws XftpError INVALID_ADDRESS. The message repeats nothing of the password.
 */
export function requireServerPassword(password: string): void {
  readAddressPart('No server address can have this password', () => {
    checkPassword(password);
  });
}

function readServerAddress(text: string, options: ParseAddressOptions = {}): ServerAddress {
  if (!text.startsWith(SCHEME)) throw new AddressFault(`it does not begin with ${SCHEME}`);
  if (text.length > MAX_ADDRESS_LENGTH)
    throw new AddressFault(`it is longer than ${String(MAX_ADDRESS_LENGTH)} characters`);
  const at = text.indexOf('@');
  if (at < 0) throw new AddressFault('there is no @ between the fingerprint and the host');
  const [fingerprintText = '', password, ...more] = text.slice(SCHEME.length, at).split(':');
  if (more.length > 0) throw new AddressFault('there is more than one colon before the @');
  const address = { fingerprint: parseFingerprint(fingerprintText), ...parseHosts(text.slice(at + 1)) };
  if (options.checkFingerprint !== false) checkFingerprintLength(address);
  if (password === undefined) return address;
  checkPassword(password);
  return { ...address, password };
}

/**
 * The text of an address. IPv6 hosts are bare, as in the reference, except a last host before a port:
 * there the bare form would be read as another host.
 *
 * @param options.withPassword whether a password is written too; left out unless asked for.
 */
export function formatServerAddress(
  address: ServerAddress,
  options: { readonly withPassword?: boolean } = {},
): string {
  const password =
    options.withPassword === true && address.password !== undefined ? `:${address.password}` : '';
  return `${SCHEME}${encodeBase64Url(address.fingerprint)}${password}@${formatHosts(address)}`;
}

/**
 * Reads addresses separated by `;`. Blanks around them and empty places are ignored.
 *
 * @throws XftpError INVALID_ADDRESS
 */
export function parseServerList(text: string): ServerAddress[] {
  // A password may hold a semicolon, so only one before another address or the end separates.
  const items = text
    .split(/;(?=\s*(?:;|xftp:\/\/|$))/)
    .map((item) => item.trim())
    .filter((item) => item !== '');
  return items.map((item, index) => {
    const wrong = items.length === 1 ? WRONG : `Server address ${String(index + 1)} of the list is wrong`;
    return readAddressPart(wrong, () => readServerAddress(item));
  });
}

/** @throws XftpError INVALID_ADDRESS unless the fingerprint has 32 bytes. */
export function requireFullFingerprint(address: Pick<ServerAddress, 'fingerprint'>): void {
  readAddressPart(WRONG, () => {
    checkFingerprintLength(address);
  });
}

/** The port to connect to. */
export function serverPort(address: ServerAddress): number {
  return address.port ?? DEFAULT_PORT;
}

/**
 * Whether two addresses count as one server in a description: hosts, port and fingerprint as configured are
 * equal (protocol reference, section 8.2). No port and port 443 differ; passwords do not matter.
 */
export function sameServer(a: ServerAddress, b: ServerAddress): boolean {
  return (
    a.port === b.port && compareHostLists(a.hosts, b.hosts) === 0 && bytesEqual(a.fingerprint, b.fingerprint)
  );
}

/**
 * Order of servers in a description: host lists, then the port as text, then the fingerprint
 * (protocol reference, section 8.2). 0 exactly if `sameServer`.
 */
export function compareServers(a: ServerAddress, b: ServerAddress): number {
  return (
    compareHostLists(a.hosts, b.hosts) ||
    compareArrays(encodeUtf8(portText(a)), encodeUtf8(portText(b))) ||
    compareArrays(a.fingerprint, b.fingerprint)
  );
}

function compareHostLists(a: readonly Host[], b: readonly Host[]): number {
  for (const [index, host] of a.entries()) {
    const other = b[index];
    const order = other === undefined ? 1 : compareHosts(host, other);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function portText(address: ServerAddress): string {
  return address.port === undefined ? '' : String(address.port);
}

function formatHosts({ hosts, port }: ServerAddress): string {
  const texts = hosts.map(({ text }) => text);
  if (port === undefined) return texts.join(',');
  const last = hosts[hosts.length - 1];
  if (last?.kind === 'ipv6') texts[texts.length - 1] = `[${last.text}]`;
  return `${texts.join(',')}:${String(port)}`;
}

function checkFingerprintLength({ fingerprint }: Pick<ServerAddress, 'fingerprint'>): void {
  const { length } = fingerprint;
  if (length !== FINGERPRINT_LENGTH)
    throw new AddressFault(
      `its fingerprint has ${String(length)} bytes instead of ${String(FINGERPRINT_LENGTH)}`,
    );
}

function parseFingerprint(text: string): Uint8Array {
  if (text === '') throw new AddressFault('there is no fingerprint');
  try {
    return decodeBase64Url(text);
  } catch (cause) {
    throw new AddressFault('its fingerprint is not base64url', { cause });
  }
}

function checkPassword(password: string): void {
  const bytes = encodeUtf8(password);
  if (bytes.length === 0) throw new AddressFault('its password is empty');
  if (bytes.length > MAX_SHORT) throw new AddressFault('its password is longer than 255 bytes');
  if (!isPasswordText(bytes)) throw new AddressFault('its password holds a character that is not allowed');
}

function parseHosts(text: string): Pick<ServerAddress, 'hosts' | 'port'> {
  const items = text.split(',');
  const { host, port } = splitPort(items.pop() ?? '');
  const [first, ...others] = [...items, host].map((item, index) =>
    parseOneHost(item, items.length === 0 ? 'host' : `host ${String(index + 1)}`),
  );
  if (first === undefined) throw new AddressFault('it has no host');
  const hosts = [first, ...others] as const;
  return port === undefined ? { hosts } : { hosts, port: parsePort(port) };
}

/** Splits the last host from the port. */
function splitPort(text: string): { host: string; port?: string } {
  const colon = text.lastIndexOf(':');
  const portless = colon < 0 || (text.startsWith('[') ? text.endsWith(']') : isHost(text));
  return portless ? { host: text } : { host: text.slice(0, colon), port: text.slice(colon + 1) };
}

function isHost(text: string): boolean {
  try {
    readHost(text);
    return true;
  } catch {
    return false;
  }
}

function parseOneHost(text: string, name: string): Host {
  try {
    return readHost(text);
  } catch (error) {
    if (!(error instanceof AddressFault)) throw error;
    throw new AddressFault(`its ${name} cannot be used, since ${error.message}`);
  }
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65535) throw new AddressFault('its port is not a number from 1 to 65535');
  return port;
}

/** The servers that the reference command line uses unless told otherwise (protocol reference, section 9.1). */
export const PRESET_SERVERS: readonly ServerAddress[] = parseServerList(
  [
    'xftp://da1aH3nOT-9G8lV7bWamhxpDYdJ1xmW7j3JpGaDR5Ug=@xftp1.simplex.im,blisztokwh6alt5oem45f2eksm2xdowxszmhjesntcyolmhutoon7sid.onion',
    'xftp://5vog2Imy1ExJB_7zDZrkV1KDWi96jYFyy9CL6fndBVw=@xftp2.simplex.im,jk6jybnel5hin2am5omd7g3hyvb4tfkyl7ea4vx5ldi7gpvz5ogqtcqd.onion',
    'xftp://PYa32DdYNFWi0uZZOprWQoQpIk5qyjRJ3EF7bVpbsn8=@xftp3.simplex.im,pqhchr4bpkzef5wra4hnmzvppn5j5mjrpzkh5ixx6mhylnxxd6lmwnad.onion',
    'xftp://k_GgQl40UZVV0Y4BX9ZTyMVqX5ZewcLW0waQIl7AYDE=@xftp4.simplex.im,q2lrjgiyo2efyweksavwxh3dlsrxetaxjztde2x5nateugrtrwzvmdid.onion',
    'xftp://-bIo6o8wuVc4wpZkZD3tH-rCeYaeER_0lz1ffQcSJDs=@xftp5.simplex.im,2kikdbdhlrluburwt6q6rnoxvezcm2ifx2hj463jlunkeftlzm7hf3qd.onion',
    'xftp://6nSvtY9pJn6PXWTAIMNl95E1Kk1vD7FM2TeOA64CFLg=@xftp6.simplex.im,tg3fmu6houq7vfqlsipm2qqzhtpgxesnuydqozx3khojxydhs53sbbyd.onion',
  ].join(';'),
);
