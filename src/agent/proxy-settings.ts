import { parseSocksProxy, type Route, type SocksCredentials } from '../transport/index.js';
import type { Settings } from './model.js';

/** The way to relays that the settings ask for, with what the proxy is told; undefined if it is the direct one. */
export function routeOf(settings: Settings, credentials: SocksCredentials): Route | undefined {
  const { socksProxy, socksMode: mode, onionHosts: onion } = settings;
  if (socksProxy !== null) return { proxy: parseSocksProxy(socksProxy), mode, onion, credentials };
  return onion === 'require' ? { onion } : undefined;
}

/** Whether a change of settings leads connections another way. */
export function changesRoute(before: Settings, after: Settings): boolean {
  return (['socksProxy', 'socksMode', 'onionHosts', 'isolation'] as const).some(
    (name) => before[name] !== after[name],
  );
}

/** Whether relays see this machine's address. */
export function showsAddress({ socksProxy, socksMode }: Settings): boolean {
  return socksProxy === null || socksMode === 'onion';
}
