import { setMaxListeners } from 'node:events';
import { constants } from 'node:os';

/**
 * Runs work that SIGINT, SIGTERM and SIGHUP (the terminal is closed) stop gracefully; a second signal ends the process at
 * once.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController();
  // Every command under way listens: many listeners are no leak here.
  setMaxListeners(0, abort.signal);
  const onSignal = (name: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): void => {
    const exitCode = 128 + constants.signals[name];
    if (abort.signal.aborted) process.exit(exitCode);
    process.exitCode = exitCode;
    abort.abort();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onSignal);
  try {
    const result = await work(abort.signal);
    // The signal came too late to stop anything.
    process.exitCode = undefined;
    return result;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', onSignal);
  }
}

/** Runs work; `cleanUp` is called if the process ends before that has, as a second signal makes it. */
export async function cleaningUpAtExit<T>(cleanUp: () => void, work: () => Promise<T>): Promise<T> {
  process.on('exit', cleanUp);
  try {
    return await work();
  } finally {
    process.off('exit', cleanUp);
  }
}
