import { once } from 'node:events';

import { encodeBase64Url, isXftpError } from '../protocol/index.js';
import { fingerprintOf } from '../crypto/index.js';
import {
  formatRelayAddress,
  loadRelayConfig,
  readCredentials,
  type RelayConfig,
  relayFiles,
  type RelayFolders,
  type RelayOptions,
  startRelay,
} from '../relay/index.js';

/** The identity cannot be made again: its fingerprint is in the address that clients know. */
const CREDENTIAL_ADVICE = {
  online: 'run `xftp-server cert` to make a new certificate and key',
  identity: 'restore both from a backup, since the address of the relay depends on them',
};

/**
 * `start`: runs the server until SIGINT or SIGTERM (protocol reference, sections 11.1 and 11.9), which may come while it
 * still reads its store log.
 */
export async function startServer(folders: RelayFolders, version: string): Promise<void> {
  const stop = stopSignal();
  try {
    await runServer(folders, version, stop);
  } catch (error) {
    if (!isXftpError(error, 'CANCELLED')) throw error;
  }
  print(['Server stopped']);
  process.exit(0);
}

async function runServer(folders: RelayFolders, version: string, stop: AbortSignal): Promise<void> {
  const config = await loadRelayConfig(folders);
  const credentials = await readCredentials(folders, CREDENTIAL_ADVICE);
  const storeLogPath = config.storeLog ? relayFiles(folders).storeLog : undefined;
  const fingerprint = encodeBase64Url(fingerprintOf(credentials.identityCertificate));
  print([version, `Fingerprint: ${fingerprint}`]);
  print([`Server address: ${formatRelayAddress(fingerprint, config.host ?? '<hostnames>', config.port)}`]);
  print(describe(config, storeLogPath));
  const relay = await startRelay({
    ...relayOptions(config),
    credentials,
    report: (problem) => process.stderr.write(`${problem}\n`),
    signal: stop,
    ...(storeLogPath === undefined ? {} : { storeLogPath }),
  });
  print([`Listening on port ${String(relay.port)}...`]);
  if (!stop.aborted) await once(stop, 'abort');
  await relay.stop();
}

function relayOptions(config: RelayConfig): RelayOptions {
  return {
    filesPath: config.filesPath,
    port: config.port,
    chunkLifeSeconds: config.chunkLifeSeconds,
    newFiles: config.newFiles,
    ...(config.host === undefined ? {} : { host: config.host }),
    ...(config.storageQuota === undefined ? {} : { storageQuota: config.storageQuota }),
    ...(config.createPassword === undefined ? {} : { createPassword: config.createPassword }),
    ...(config.inactiveClients === undefined ? {} : { inactiveClients: config.inactiveClients }),
  };
}

function describe(config: RelayConfig, storeLogPath: string | undefined): string[] {
  return [
    ...(config.sourceCode === undefined
      ? [
          'WARNING: server source code is not specified.',
          'Set source_code in [INFORMATION] section of the INI file.',
        ]
      : [`Server source code: ${config.sourceCode}`]),
    storeLogPath === undefined ? 'Store log disabled.' : `Store log: ${storeLogPath}`,
    `expiring files after ${formatDuration(config.chunkLifeSeconds)}`,
    config.inactiveClients === undefined
      ? 'not expiring inactive clients'
      : `expiring clients inactive for ${String(config.inactiveClients.ttlSeconds)} seconds ` +
        `every ${String(config.inactiveClients.checkSeconds)} seconds`,
    `Uploading new files ${uploading(config)}`,
  ];
}

function uploading(config: RelayConfig): string {
  if (!config.newFiles) return 'NOT allowed.';
  return config.createPassword === undefined ? 'allowed.' : 'requires password.';
}

/** In the largest unit that leaves no fraction. */
function formatDuration(seconds: number): string {
  if (seconds % 86400 === 0) return `${String(seconds / 86400)} days`;
  if (seconds % 3600 === 0) return `${String(seconds / 3600)} hours`;
  if (seconds % 60 === 0) return `${String(seconds / 60)} minutes`;
  return `${String(seconds)} seconds`;
}

/** Aborts at the first SIGINT or SIGTERM; at a second one the process ends at once. */
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  const onSignal = (): void => {
    if (stop.signal.aborted) process.exit(1);
    stop.abort();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return stop.signal;
}

function print(lines: readonly string[]): void {
  process.stdout.write(lines.map((line) => `${line}\n`).join(''));
}
