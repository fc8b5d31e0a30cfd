import { isXftpError } from '../protocol/index.js';

/** A trouble of the database counts as over when it was not met for so long, in ms: it is met again every 10 s. */
const QUIET_MS = 60_000;
/** Pause before what failed for want of the database, or by a mistake of ours, is tried again, in ms. */
export const RECOVERY_MS = 10_000;

/**
 * Where everything goes that fails with nobody waiting for the answer. A database that cannot be used fails all
 * that is under way, again and again: that is told once.
 *
 * @param now monotonic time, in ms
 */
export function errorReport(log: (message: string) => void, now: () => number): (error: unknown) => void {
  const lastMet = new Map<string, number>();
  return (error) => {
    const text = textOf(error);
    if (isXftpError(error, 'DISK_FULL') || isXftpError(error, 'DATABASE_UNUSABLE')) {
      const before = lastMet.get(text);
      lastMet.set(text, now());
      if (before !== undefined && now() - before < QUIET_MS) return;
    }
    log(text);
  };
}

/** With its stack if it is a mistake of ours. */
function textOf(error: unknown): string {
  return error instanceof Error && !isXftpError(error) ? (error.stack ?? error.message) : String(error);
}

/** What was thrown, as the error that it nearly always is: a promise is rejected with nothing else. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
