import { XftpError } from '../protocol/index.js';
import type { ConnectionHost } from './connection-host.js';
import { FileStorage } from './file-storage.js';
import { LocalHost } from './local-host.js';
import { localOwner } from './local-owner.js';
import { connectionServices } from './open-services.js';
import { type Problem, proxyReporter, tlsFailureReason, tlsReporter } from './problem-reporter.js';
import type { RelayOptions } from './relay-options.js';
import type { OwnerServices } from './services.js';
import type { ShownIdentity } from './shown-identity.js';
import { WorkerPool } from './workers/worker-pool.js';

/**
 * Makes the host that the options want: this process, or several beside it.
 *
 * @throws XftpError LOCAL_IO when a worker does not start, INVALID_ARGUMENT for what only one process can do
 */
export async function openHost(
  shown: ShownIdentity,
  options: RelayOptions,
  services: OwnerServices,
  { tell, report }: { readonly tell: (problem: Problem) => void; readonly report: (problem: string) => void },
): Promise<ConnectionHost> {
  const { storage, limits, now, failed } = services;
  const { connectionWorkers = 1, logTlsErrors = false, fsync = 'always' } = options;
  const owner = localOwner(services);
  const tlsFailed = tlsReporter(report, now);
  const misled = proxyReporter(report);
  if (connectionWorkers === 1)
    return new LocalHost(
      shown,
      connectionServices({
        owner,
        storage,
        limits,
        now,
        failed,
        tlsFailed: (error) => {
          if (logTlsErrors) tlsFailed(tlsFailureReason(error));
        },
        misled,
      }),
    );
  if (!(storage instanceof FileStorage))
    throw new XftpError('INVALID_ARGUMENT', 'A storage of your own works only in one process.');
  const settings = { shown, folder: storage.folder, fsync, limits, logTlsErrors };
  return await WorkerPool.start(connectionWorkers, settings, { owner, failed: tell, tlsFailed, misled });
}
