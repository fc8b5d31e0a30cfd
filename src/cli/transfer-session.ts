import { RelayClient } from '../client/index.js';
import {
  DEFAULT_DEADLINES,
  DEFAULT_IDLE_MS,
  DEFAULT_SESSIONS_PER_SERVER,
  openSession,
  type ProxyRoute,
  SessionPool,
} from '../transport/index.js';
import { CipherPool, type TransferContext } from '../transfer/index.js';
import { interruptible } from './interruption.js';
import type { Output } from './output.js';

/** What a command needs to run transfers: sessions and threads that end with it, and its way to talk. */
export interface TransferSession {
  /** The context of one step, with its progress shown under `label`; without a label the step is silent. */
  readonly context: (label?: string) => TransferContext;
}

/** Runs a command's transfers, which signals stop as `interruptible` says, and cleans up after them. */
export async function withTransferSession<T>(
  options: { readonly attempts: number; readonly output: Output; readonly route?: ProxyRoute },
  work: (session: TransferSession) => Promise<T>,
): Promise<T> {
  const { attempts, output, route } = options;
  // Around the clean-up too: a signal while it is at work must not end the process with half of it done.
  return interruptible(async (signal) => {
    const pool = new SessionPool({
      open: (server, ending, credentials) =>
        openSession(server, {
          deadlines: DEFAULT_DEADLINES,
          signal: ending,
          ...(route === undefined ? {} : { route: { ...route, credentials } }),
        }),
      sessionsPerServer: DEFAULT_SESSIONS_PER_SERVER,
      idleMs: DEFAULT_IDLE_MS,
    });
    const ciphers = new CipherPool();
    try {
      return await work({
        context: (label) => ({
          client: new RelayClient(pool),
          ciphers,
          attempts,
          signal,
          ...(label === undefined ? {} : { onProgress: output.progress(label) }),
          onWarning: (message) => {
            output.warn(message);
          },
          onDetail: (message) => {
            output.detail(message);
          },
        }),
      });
    } finally {
      output.endProgress();
      pool.close();
      await ciphers.close();
    }
  });
}
