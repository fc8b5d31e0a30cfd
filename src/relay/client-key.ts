import { BlockList, isIPv6 } from 'node:net';

import { parseIpv6 } from '../protocol/index.js';

/** Addresses of this machine and of networks around it: Tor, a proxy or a bridge, with any number of people behind it. */
const SHARED = new BlockList();
SHARED.addSubnet('127.0.0.0', 8, 'ipv4');
SHARED.addSubnet('10.0.0.0', 8, 'ipv4');
SHARED.addSubnet('172.16.0.0', 12, 'ipv4');
SHARED.addSubnet('192.168.0.0', 16, 'ipv4');
SHARED.addSubnet('169.254.0.0', 16, 'ipv4');
SHARED.addAddress('::1', 'ipv6');
SHARED.addSubnet('fc00::', 7, 'ipv6');
SHARED.addSubnet('fe80::', 10, 'ipv6');

/**
 * What clients are counted by: an IPv4 address, or the half of an IPv6 address that one customer has. Undefined for
 * addresses that stand for nobody in particular: loopback, where onion traffic comes from, and private networks.
 *
 * @param address as sockets tell it; undefined when the client has gone
 */
export function clientKeyOf(address: string | undefined): string | undefined {
  if (address === undefined) return undefined;
  const [bare = ''] = address.replace(/^::ffff:(?=\d+\.)/i, '').split('%');
  if (!isIPv6(bare)) return SHARED.check(bare, 'ipv4') ? undefined : bare;
  if (SHARED.check(bare, 'ipv6')) return undefined;
  return parseIpv6(bare)
    ?.slice(0, 4)
    .map((group) => group.toString(16))
    .join(':');
}
