import { AddressFault, readAddressPart } from './address-fault.js';
import { encodeUtf8 } from './bytes.js';
import { formatIpv6, parseIpv4, parseIpv6 } from './ip-address.js';

/** The kinds of host in the order in which descriptions sort them (protocol reference, section 8.2). */
const HOST_KINDS = ['ipv4', 'ipv6', 'onion', 'domain'] as const;

/** The longest domain name that the DNS knows; SOCKS and certificates have similar limits. */
const MAX_HOST_LENGTH = 253;

/** Where a relay can be reached. `text` is canonical: IP addresses as `formatIpv6` has them, never with brackets. */
export interface Host {
  readonly kind: (typeof HOST_KINDS)[number];
  readonly text: string;
}

/**
 * Reads one host of a server address (protocol reference, section 9.1): IPv4, IPv6 bare or in brackets,
 * onion, or domain. Domains are letters (of any script), digits, `-`, `_` and `.`; the reference takes more
 * characters, but no such name resolves, and they could spoil a terminal or a URL.
 *
 * @throws XftpError INVALID_ADDRESS. The message does not repeat the text.
 */
export function parseHost(text: string): Host {
  return readAddressPart('This is not a host name', () => readHost(text));
}

/**
 * The same for a host that is part of something.
 *
 * @throws AddressFault
 */
export function readHost(text: string): Host {
  if (text === '') throw new AddressFault('it is empty');
  const bracketed = /^\[(.*)\]$/s.exec(text)?.[1];
  const groups = parseIpv6(bracketed ?? text);
  if (groups !== undefined) return { kind: 'ipv6', text: formatIpv6(groups) };
  if (bracketed !== undefined) throw new AddressFault('there is no IPv6 address between its brackets');
  const octets = parseIpv4(text);
  if (octets !== undefined) return { kind: 'ipv4', text: octets.join('.') };
  if (/\.onion\.?$/i.test(text)) return parseOnion(text);
  checkDomain(text);
  return { kind: 'domain', text };
}

/** Every name that ends in `.onion` is an onion host or an error: none may slip to the DNS as a domain. */
function parseOnion(text: string): Host {
  if (!/^[a-z\d]{1,100}\.onion$/i.test(text)) throw new AddressFault('it is not a valid onion address');
  return { kind: 'onion', text: text.toLowerCase() };
}

function checkDomain(text: string): void {
  if (text.includes(':'))
    throw new AddressFault('it holds a colon, but neither an IPv6 address nor the last port');
  if (encodeUtf8(text).length > MAX_HOST_LENGTH) throw new AddressFault('it is too long');
  if (!/^[\p{L}\p{M}\p{N}._-]+$/u.test(text))
    throw new AddressFault('it holds a character that host names do not have');
  if (/^[\d.]+$/.test(text)) throw new AddressFault('it is not a valid IPv4 address');
}

/** Order of hosts in descriptions: by kind, then by value (protocol reference, section 8.2). */
export function compareHosts(a: Host, b: Host): number {
  return HOST_KINDS.indexOf(a.kind) - HOST_KINDS.indexOf(b.kind) || compareArrays(hostValue(a), hostValue(b));
}

function hostValue(host: Host): ArrayLike<number> {
  switch (host.kind) {
    case 'ipv4':
      return parseIpv4(host.text) ?? [];
    case 'ipv6':
      return parseIpv6(host.text) ?? [];
    case 'onion':
    case 'domain':
      return encodeUtf8(host.text);
  }
}

/** Lexicographic order of number sequences; a prefix comes before what continues it. */
export function compareArrays(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const common = Math.min(a.length, b.length);
  for (let index = 0; index < common; index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
