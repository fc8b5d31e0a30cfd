import { Option } from 'commander';

import { XftpError } from '../protocol/index.js';
import { parseSocksProxy, type ProxyRoute, type SocksProxy } from '../transport/index.js';

/** What commander makes of these options. */
export interface RouteArguments {
  readonly socksProxy?: SocksProxy;
  readonly socksMode: ProxyRoute['mode'];
  readonly onionHosts: ProxyRoute['onion'];
}

/** `--socks-proxy`: the proxy. */
export function socksProxyOption(): Option {
  return new Option(
    '--socks-proxy <PROXY>',
    'reach relays through this SOCKS5 proxy, HOST:PORT; Tor listens on 127.0.0.1:9050',
  ).argParser((text) => parseSocksProxy(text));
}

/** `--socks-mode`: what goes through the proxy. */
export function socksModeOption(): Option {
  return new Option('--socks-mode <MODE>', 'whether everything goes through the proxy, or onion hosts only')
    .choices(['always', 'onion'])
    .default('always');
}

/** `--onion-hosts`: which hosts of an address are used when there is a proxy. */
export function onionHostsOption(): Option {
  return new Option('--onion-hosts <WHEN>', 'whether onion hosts are used when there is a proxy')
    .choices(['prefer', 'require', 'never'])
    .default('prefer');
}

/**
 * The way to relays; empty without a proxy.
 *
 * @throws XftpError INVALID_ARGUMENT for what has no meaning without a proxy
 */
export function routeOf({ socksProxy, socksMode, onionHosts }: RouteArguments): { route?: ProxyRoute } {
  if (socksProxy !== undefined) return { route: { proxy: socksProxy, mode: socksMode, onion: onionHosts } };
  if (onionHosts === 'require' || socksMode === 'onion')
    throw new XftpError(
      'INVALID_ARGUMENT',
      `${onionHosts === 'require' ? '--onion-hosts require' : '--socks-mode onion'} needs a proxy: add --socks-proxy 127.0.0.1:9050, where Tor listens.`,
    );
  return {};
}
