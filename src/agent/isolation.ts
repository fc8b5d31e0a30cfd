import type { Isolation } from './model.js';

/** From what shares most to what shares least. */
export const ISOLATION_LEVELS = ['server', 'transfer', 'chunk'] as const;

/** What shares least of several levels. */
export function strictest(...levels: readonly Isolation[]): Isolation {
  return ISOLATION_LEVELS[Math.max(...levels.map((level) => ISOLATION_LEVELS.indexOf(level)))] ?? 'server';
}

/**
 * What shares connections with a transfer: as little as the setting or the transfer says. One with a limit of its own
 * has connections of its own, since a connection that is read slowly is slow for all who share it.
 */
export function isolationOf(
  setting: Isolation,
  transfer: { readonly isolation: Isolation | null; readonly byte_limit: number | null } | undefined,
): Isolation {
  return strictest(
    setting,
    transfer?.isolation ?? 'server',
    (transfer?.byte_limit ?? null) === null ? 'server' : 'transfer',
  );
}
