import { DEFAULT_PORT, encodeBase64Url, isXftpError, XftpError } from '../protocol/index.js';
import { constantTimeEqual, fingerprintOf } from '../crypto/index.js';
import { makeFolders } from '../system/index.js';
import { clientKeyOf } from './client-key.js';
import type { ConnectionHost } from './connection-host.js';
import { createCredentials, type RelayCredentials } from './credentials.js';
import { deleteExpired, EXPIRY_INTERVAL_MS } from './expiry.js';
import { describeFileError } from './file-errors.js';
import { lockRelayFiles, type Unlock } from './instance-lock.js';
import { DEFAULT_LIMITS } from './limits.js';
import { RelayListener } from './listener.js';
import { openHost } from './open-host.js';
import { openOwnerServices } from './open-services.js';
import { type OperatorSide, startOperatorSide } from './operator/operator-side.js';
import type { ListenPlace } from './ports.js';
import { problemReporter } from './problem-reporter.js';
import { addUse, processUse } from './process-use.js';
import type { RelayOptions, WebOptions } from './relay-options.js';
import type { RelayFigures } from './statistics/figures.js';
import type { ShownIdentity } from './shown-identity.js';
import { throwIfStopped } from './stopped-start.js';
import { NO_PAGES, readPages } from './web/pages.js';
import { type BothKinds, type Site, SitePorts } from './web/site-ports.js';

/** A relay at work. */
export interface RunningRelay {
  /** Ports for web pages alone that it listens on. */
  readonly sitePorts: BothKinds<readonly number[]>;
  /** Port that it listens on, the first of several. */
  readonly port: number;
  /** Every port, once for each address that was given. */
  readonly ports: readonly number[];
  /** SHA-256 of its identity certificate: 32 bytes. */
  readonly fingerprint: Uint8Array;
  /** Server address as text, without the password. */
  readonly address: string;
  /** Bytes of the storage quota in use, by stored bodies and by uploads under way. */
  readonly usedBytes: () => number;
  /** Ports of the operator's side; undefined for those that are off. */
  readonly controlPort: number | undefined;
  readonly metricsPort: number | undefined;
  /** All that there is to know in numbers. */
  readonly figures: () => Promise<RelayFigures>;
  /**
   * Shows other certificates and pages to whoever connects from now on; connections and requests under way go on.
   *
   * @throws XftpError INVALID_CERTIFICATE when the identity is another, which clients would take for another relay;
   * then nothing has changed
   */
  readonly show: (identity: {
    readonly credentials: RelayCredentials;
    /** What ports there are stays as it is. */
    readonly web?: WebOptions;
  }) => Promise<void>;
  /** Deletes expired chunks now; happens by itself at the start and every two hours. */
  readonly expire: () => Promise<void>;
  /** Ends the relay: requests under way get 10 s. Calling it again waits for the same end. */
  readonly stop: () => Promise<void>;
}

/**
 * Starts a relay.
 *
 * @throws XftpError ALREADY_RUNNING, ADDRESS_IN_USE, NO_PERMISSION, DISK_FULL, LOCAL_IO, INVALID_CERTIFICATE, or
 * CANCELLED, then with nothing lost
 */
export async function startRelay(options: RelayOptions): Promise<RunningRelay> {
  await makeFolders(options.filesPath).catch((error: unknown) => {
    throw describeFileError(error, `The folder of chunks ${options.filesPath} cannot be used`);
  });
  const unlock = await lockRelayFiles(options.filesPath, options.storeLogPath, 'relay');
  try {
    return await startLocked(options, unlock);
  } catch (error) {
    await unlock();
    throw error;
  }
}

async function startLocked(options: RelayOptions, unlock: Unlock): Promise<RunningRelay> {
  const now = options.now ?? Date.now;
  const report = options.report ?? ((): void => undefined);
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const { tell, count: countedProblems } = problemReporter(report, now);
  const services = await openOwnerServices(options, { limits, now, tell, report });
  const startedAt = now();
  const credentials = options.credentials ?? createCredentials('ed25519', 'localhost');
  const fingerprint = fingerprintOf(credentials.identityCertificate);
  const stopping = new AbortController();
  let expiring = Promise.resolve();
  const expire = (): Promise<void> => {
    expiring = expiring
      // Now and then, also when nobody asks for anything, it is seen to that the log is in its place.
      .then(() => services.store.settled())
      .then(() => deleteExpired(services, stopping.signal))
      .catch(services.failed);
    return expiring;
  };
  const figures = async (): Promise<RelayFigures> => {
    const { clients, processes } = (await host?.measure()) ?? { clients: 0, processes: [] };
    return {
      statistics: services.statistics.snapshot,
      stored: await services.store.stored(),
      usedBytes: services.quota.used,
      quotaBytes: services.quota.limit,
      newFiles: services.policy.newFiles,
      use: addUse(processUse(), ...processes),
      workers: processes.length,
      clients,
      startedAt,
      problems: countedProblems(),
      version: options.operator?.version ?? 'embedded',
      rtsOptions: options.operator?.rtsOptions ?? 'set XFTP_RTS_OPTIONS',
    };
  };
  const site = new SitePorts({ report, failed: services.failed });
  let host: ConnectionHost | undefined;
  let listener: RelayListener | undefined;
  let ports: readonly number[];
  let sitePorts: BothKinds<readonly number[]>;
  let operator: OperatorSide;
  let pages = NO_PAGES;
  try {
    throwIfStopped(options.signal);
    const shown = await openSite(options.web, report);
    pages = shown.pages;
    host = await openHost(identityOf(credentials, shown), options, services, { tell, report });
    throwIfStopped(options.signal);
    const clientKey = options.clientKey ?? clientKeyOf;
    listener = new RelayListener(host, { limits, clientKey, failed: services.failed });
    ports = await listener.listen(listenPlaces(options, options.port ?? 0));
    sitePorts = await site.open(shown, {
      http: listenPlaces(options, options.web?.httpPort),
      https: listenPlaces(options, options.web?.httpsPort),
    });
    operator = await startOperatorSide(options.operator ?? {}, services, figures, (problem) => {
      tell({ kind: problem, sentence: problem });
    });
  } catch (error) {
    listener?.close();
    await Promise.all([site.stop(), host?.stop()]);
    await services.store.close();
    // A service manager tells the workers too, which may have ended for that reason.
    throwIfStopped(options.signal);
    throw error;
  }
  const [listening, serving] = [listener, host];
  // Beside the work for clients: after a long pause there may be much to delete.
  void expire();
  const timers = [setInterval(() => void expire(), EXPIRY_INTERVAL_MS)];
  const { inactiveClients } = options;
  if (inactiveClients !== undefined)
    timers.push(
      setInterval(() => {
        serving.closeUnusedSince(now() - inactiveClients.ttlSeconds * 1000);
      }, inactiveClients.checkSeconds * 1000),
    );
  const stop = async (): Promise<void> => {
    for (const timer of timers) clearInterval(timer);
    stopping.abort();
    listening.close();
    await Promise.all([site.stop(), serving.stop()]);
    await expiring;
    await operator.stop();
    try {
      await services.store.close();
    } catch (error) {
      throw describeFileError(
        error,
        'The last changes, which no client was told of, are not in the store log',
      );
    } finally {
      await unlock();
    }
  };
  const show: RunningRelay['show'] = async (identity) => {
    if (!constantTimeEqual(fingerprintOf(identity.credentials.identityCertificate), fingerprint))
      throw new XftpError(
        'INVALID_CERTIFICATE',
        'The certificates belong to another relay: a relay keeps its identity as long as it runs.',
      );
    const shown = await openSite(identity.web, report, pages);
    pages = shown.pages;
    await serving.show(identityOf(identity.credentials, shown));
    site.show(shown);
    // Programs that rotate logs move them away first.
    await services.store.settled().catch(services.failed);
  };
  const [port = 0] = ports;
  let stopped: Promise<void> | undefined;
  return {
    port,
    ports,
    sitePorts,
    show,
    fingerprint,
    address: formatRelayAddress(encodeBase64Url(fingerprint), options.host ?? 'localhost', port),
    usedBytes: () => services.quota.used,
    controlPort: operator.controlPort,
    metricsPort: operator.metricsPort,
    figures,
    expire,
    stop: () => (stopped ??= stop()),
  };
}

/**
 * The address that clients need; the port is left out if it is the usual one (protocol reference, section 11.1). An IPv6
 * host before a port stands in brackets, as in every other address: bare, the port would be read as a part of it.
 *
 * @param host one or several, separated by commas
 */
export function formatRelayAddress(fingerprint: string, host: string, port: number): string {
  if (port === DEFAULT_PORT) return `xftp://${fingerprint}@${host}`;
  return `xftp://${fingerprint}@${host.replace(/[^,[\]]*:[^,[\]]*$/, '[$&]')}:${String(port)}`;
}

/**
 * What clients on the relay's own ports are shown: of the credentials only what that needs, not the identity's key; and
 * what browsers get, for which there must be a certificate.
 */
function identityOf(
  { identityCertificate, online }: RelayCredentials,
  { pages, certificate }: Site,
): ShownIdentity {
  const web = certificate === undefined ? undefined : { pages, certificate };
  return { credentials: { identityCertificate, online }, web };
}

/**
 * Pages that cannot be read are no reason not to run: the chunks matter more.
 *
 * @param before what is shown then
 */
async function openSite(
  web: WebOptions | undefined,
  report: (problem: string) => void,
  before = NO_PAGES,
): Promise<Site> {
  const { certificate, pagesPath, httpPort } = web ?? {};
  const shown = certificate !== undefined || httpPort !== undefined;
  if (pagesPath === undefined || !shown) return { certificate, pages: NO_PAGES };
  try {
    return { certificate, pages: await readPages(pagesPath) };
  } catch (error) {
    if (!isXftpError(error)) throw error;
    report(error.message);
    return { certificate, pages: before };
  }
}

/** Every port on every address. */
function listenPlaces({ listenHost }: RelayOptions, port: RelayOptions['port']): ListenPlace[] {
  const hosts = typeof listenHost === 'string' ? [listenHost] : (listenHost ?? [undefined]);
  const ports = typeof port === 'number' ? [port] : (port ?? []);
  return hosts.flatMap((host) => ports.map((each) => ({ host, port: each })));
}
