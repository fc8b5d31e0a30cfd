import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { isDeepStrictEqual } from 'node:util';

import { encodeBase64Url, isXftpError } from '../protocol/index.js';
import { fingerprintOf } from '../crypto/index.js';
import {
  formatRelayAddress,
  loadRelayConfig,
  type OperatorOptions,
  readCredentials,
  readWebCertificate,
  type RelayConfig,
  relayFiles,
  type RelayFolders,
  type RelayOptions,
  type RunningRelay,
  startRelay,
  type WebConfig,
  type WebOptions,
} from '../relay/index.js';
import { keepHangups } from './xftp-server-hangup.js';

/** The identity cannot be made again: its fingerprint is in the address that clients know. */
const CREDENTIAL_ADVICE = {
  online: 'run `xftp-server cert` to make a new certificate and key',
  identity: 'restore both from a backup, since the address of the relay depends on them',
};

/** Connection workers on a machine with many cores, unless the INI wants more: one owner of the records keeps some ten busy. */
const MOST_WORKERS = 8;

/** The program's version: alone, and as the programs show it. */
export interface ServerVersion {
  readonly number: string;
  readonly text: string;
}

/**
 * `start`: runs the server until SIGINT or SIGTERM (protocol reference, sections 11.1 and 11.9), which may come while it
 * still reads its store log.
 */
export async function startServer(folders: RelayFolders, version: ServerVersion): Promise<void> {
  const stop = stopSignal();
  const onHangup = keepHangups();
  try {
    await runServer(folders, version, stop, onHangup);
  } catch (error) {
    if (!isXftpError(error, 'CANCELLED')) throw error;
  }
  print(['Server stopped']);
  process.exit(0);
}

async function runServer(
  folders: RelayFolders,
  version: ServerVersion,
  stop: AbortSignal,
  onHangup: (act: () => Promise<void>) => void,
): Promise<void> {
  const config = await loadRelayConfig(folders, process.env);
  for (const remark of config.remarks) process.stderr.write(`${remark}\n`);
  const credentials = await readCredentials(folders, CREDENTIAL_ADVICE);
  const storeLogPath = config.storeLog ? relayFiles(folders).storeLog : undefined;
  const fingerprint = encodeBase64Url(fingerprintOf(credentials.identityCertificate));
  print([version.text, `Fingerprint: ${fingerprint}`]);
  print([`Server address: ${formatRelayAddress(fingerprint, config.host ?? '<hostnames>', config.port)}`]);
  print(describe(config, storeLogPath));
  const relay = await startRelay({
    ...relayOptions(config),
    operator: operatorOptions(config, folders, version),
    credentials,
    web: await readWeb(config.web),
    report,
    signal: stop,
    ...(storeLogPath === undefined ? {} : { storeLogPath }),
  });
  onHangup(() => renewCertificates(relay, folders, config));
  if (relay.controlPort !== undefined) print([`Control port: 127.0.0.1:${String(relay.controlPort)}`]);
  if (relay.metricsPort !== undefined)
    print([`Metrics: http://127.0.0.1:${String(relay.metricsPort)}/metrics`]);
  const { http, https } = relay.sitePorts;
  print(http.map((port) => `Web pages: HTTP on port ${String(port)}`));
  print(https.map((port) => `Web pages: HTTPS on port ${String(port)}`));
  print(relay.ports.map((port) => `Listening on port ${String(port)}...`));
  if (!stop.aborted) await once(stop, 'abort');
  await relay.stop();
}

/** SIGHUP: certificates and pages are read again. When they cannot be used, the relay goes on with those it has. */
async function renewCertificates(
  relay: RunningRelay,
  folders: RelayFolders,
  started: RelayConfig,
): Promise<void> {
  try {
    const config = await loadRelayConfig(folders, process.env);
    // What the INI has come to say since the start.
    for (const remark of config.remarks) if (!started.remarks.includes(remark)) report(remark);
    const credentials = await readCredentials(folders, CREDENTIAL_ADVICE);
    await relay.show({ credentials, web: await readWeb(config.web) });
    print(['Certificates and web pages read again; new connections get them.']);
    const { web, remarks } = started;
    if (!isDeepStrictEqual({ ...config, web, remarks }, started))
      report('What else has changed in the INI takes effect when the relay is started again.');
  } catch (error) {
    report(
      `The relay goes on with the certificates it has. ${isXftpError(error) ? error.message : String(error)}`,
    );
  }
}

async function readWeb({ certificate, pagesPath, httpPort, httpsPort }: WebConfig): Promise<WebOptions> {
  return {
    ...(certificate === undefined
      ? {}
      : { certificate: await readWebCertificate(certificate.certificatePath, certificate.keyPath) }),
    ...(pagesPath === undefined ? {} : { pagesPath }),
    ...(httpPort === undefined ? {} : { httpPort }),
    ...(httpsPort === undefined ? {} : { httpsPort }),
  };
}

function relayOptions(config: RelayConfig): RelayOptions {
  return {
    filesPath: config.filesPath,
    port: config.ports,
    connectionWorkers: config.connectionWorkers ?? Math.min(availableParallelism(), MOST_WORKERS),
    limits: config.limits,
    chunkLifeSeconds: config.chunkLifeSeconds,
    newFiles: config.newFiles,
    fsync: config.fsync,
    logTlsErrors: config.logTlsErrors,
    ...(config.listenAddresses === undefined ? {} : { listenHost: config.listenAddresses }),
    ...(config.host === undefined ? {} : { host: config.host }),
    ...(config.storageQuota === undefined ? {} : { storageQuota: config.storageQuota }),
    ...(config.createPassword === undefined ? {} : { createPassword: config.createPassword }),
    ...(config.inactiveClients === undefined ? {} : { inactiveClients: config.inactiveClients }),
  };
}

/** As the reference, statistics are kept over a restart only if something shows them. */
function operatorOptions(
  config: RelayConfig,
  folders: RelayFolders,
  version: ServerVersion,
): OperatorOptions {
  const files = relayFiles(folders);
  const { dailyStatistics, metricsFileSeconds, controlPort, controlPasswords, metricsPort } = config;
  const shown = dailyStatistics || metricsFileSeconds !== undefined || metricsPort !== undefined;
  const rtsOptions = process.env['XFTP_RTS_OPTIONS'];
  return {
    statistics: {
      ...(dailyStatistics ? { daily: files.dailyStatistics } : {}),
      ...(shown ? { saved: files.savedStatistics } : {}),
      ...(metricsFileSeconds === undefined
        ? {}
        : { metrics: { path: files.metrics, seconds: metricsFileSeconds } }),
    },
    controlPasswords,
    version: version.number,
    ...(rtsOptions === undefined || rtsOptions === '' ? {} : { rtsOptions }),
    ...(controlPort === undefined ? {} : { controlPort }),
    ...(metricsPort === undefined ? {} : { metricsPort }),
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
    ...(config.web.certificate === undefined ? [] : ['Serving browsers with a web certificate.']),
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

function report(problem: string): void {
  process.stderr.write(`${problem}\n`);
}

function print(lines: readonly string[]): void {
  process.stdout.write(lines.map((line) => `${line}\n`).join(''));
}
