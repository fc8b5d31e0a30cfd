import { type ServerAddress, serverPort, XftpError } from '../protocol/index.js';
import type { Endpoint } from './endpoint.js';
import type { ProxyUse, SocksProxy } from './socks-proxy.js';

/** Which of the hosts of an address are used when there is a proxy. */
export type OnionPolicy = 'prefer' | 'require' | 'never';

/** What goes through the proxy: everything, or only what nothing else reaches. */
export type SocksMode = 'always' | 'onion';

/** How relays are reached when there is a proxy. */
export interface ProxyRoute {
  readonly proxy: SocksProxy;
  readonly mode: SocksMode;
  readonly onion: OnionPolicy;
}

/** There is no proxy, and no way that goes without one. */
export interface NoRoute {
  readonly onion: 'require';
}

/** How one connection is made. */
export type Route = (ProxyRoute & ProxyUse) | NoRoute;

/** A way to a relay: through a proxy, or directly. */
export interface Hop extends Endpoint {
  readonly via?: ProxyUse;
}

/**
 * The ways to a relay, in the order of trying.
 *
 * Onion hosts are for Tor only: whoever looked their names up would tell the DNS which relay is wanted, and learn
 * nothing (RFC 7686). With mode `always` nothing goes around the proxy, whatever fails.
 *
 * @param route absent: there is no proxy
 * @throws XftpError TOR_REQUIRED when no host of the address may be used
 */
export function hopsTo(server: ServerAddress, route?: Route): readonly [Hop, ...Hop[]] {
  const port = serverPort(server);
  const onion = server.hosts.filter(({ kind }) => kind === 'onion').map(({ text }) => ({ host: text, port }));
  const open = server.hosts.filter(({ kind }) => kind !== 'onion').map(({ text }) => ({ host: text, port }));
  const [first, ...others] = chooseHops(onion, open, route);
  if (first === undefined)
    throw new XftpError('TOR_REQUIRED', `The relay ${server.hosts[0].text} ${whyUnreachable(route)}.`);
  return [first, ...others];
}

function chooseHops(onion: readonly Endpoint[], open: readonly Endpoint[], route?: Route): Hop[] {
  if (route === undefined) return [...open];
  if (!('proxy' in route)) return [];
  const via = { proxy: route.proxy, credentials: route.credentials };
  const throughTor = route.onion === 'never' ? [] : onion.map((endpoint) => ({ ...endpoint, via }));
  if (route.onion === 'require') return throughTor;
  if (route.mode === 'always') return [...throughTor, ...open.map((endpoint) => ({ ...endpoint, via }))];
  // Who wants a proxy for onion hosts wants no other way to a relay that has one.
  return throughTor.length > 0 ? throughTor : [...open];
}

function whyUnreachable(route: Route | undefined): string {
  if (route === undefined)
    return 'can be reached through Tor only: set a SOCKS proxy (Tor listens on 127.0.0.1:9050)';
  if (!('proxy' in route))
    return 'may be reached through its onion address only, and there is no way to one: set a SOCKS proxy (Tor listens on 127.0.0.1:9050)';
  return route.onion === 'require'
    ? 'has no onion address, and the settings allow no other'
    : 'has onion addresses only, and the settings do not allow them';
}
