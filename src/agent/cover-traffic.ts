import { randomInt } from 'node:crypto';

import { pingSession } from '../client/index.js';
import type { Session } from '../transport/index.js';

/** Between two requests that mean nothing on one connection, in ms: any time in this range, each as likely. */
export const COVER_INTERVAL_MS = { from: 5000, to: 60_000 } as const;

/** What cover traffic needs. */
export interface CoverOptions {
  /** Whether there is to be any, asked each time. */
  readonly isOn: () => boolean;
  /** Other times, for tests. */
  readonly intervalMs?: { readonly from: number; readonly to: number };
}

/**
 * Sends PING over a session at random times until it ends, which to somebody on the way looks as if a chunk was made,
 * deleted or acknowledged. It keeps no session open that is idle for long, and stops with the first request that fails.
 */
export function coverSession(
  session: Session,
  { isOn, intervalMs: { from, to } = COVER_INTERVAL_MS }: CoverOptions,
): void {
  let timer: NodeJS.Timeout | undefined;
  const next = (): void => {
    timer = setTimeout(() => void cover(), randomInt(from, to)).unref();
  };
  const cover = async (): Promise<void> => {
    if (!session.usable) return;
    try {
      if (isOn()) await pingSession(session);
      next();
    } catch {
      // Whoever needs the session finds out what is wrong with it.
    }
  };
  next();
  void session.closed.then(() => {
    clearTimeout(timer);
  });
}
