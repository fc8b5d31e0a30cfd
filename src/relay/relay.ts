import { DEFAULT_PORT, encodeBase64Url, isXftpError, XftpError } from '../protocol/index.js';
import { constantTimeEqual, fingerprintOf } from '../crypto/index.js';
import { makeFolders } from '../system/index.js';
import { clientKeyOf } from './client-key.js';
import type { ConnectionHost } from './connection-host.js';
import { createCredentials, type RelayCredentials } from './credentials.js';
import { Expiry } from './expiry.js';
import { describeFileError } from './file-errors.js';
import { lockRelayFiles } from './instance-lock.js';
import { DEFAULT_LIMITS } from './limits.js';
import { RelayListener } from './listener.js';
import { openHost } from './open-host.js';
import { openOwnerServices } from './open-services.js';
import { startOperatorSide } from './operator/operator-side.js';
import type { ListenPlace } from './ports.js';
import { problemReporter } from './problem-reporter.js';
import { addUse, processUse } from './process-use.js';
import type { RelayOptions, WebOptions } from './relay-options.js';
import type { RelayFigures } from './statistics/figures.js';
import type { ShownIdentity } from './shown-identity.js';
import type { OwnerServices } from './services.js';
import { Stops } from './stops.js';
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
  const stops = new Stops();
  try {
    stops.add(await lockRelayFiles(options.filesPath, options.storeLogPath, 'relay'));
    return await startLocked(options, stops);
  } catch (error) {
    // Why it does not start is worth more than what else goes wrong then.
    await stops.run().catch(() => undefined);
    // A service manager tells the workers too, which may have ended for that reason.
    throwIfStopped(options.signal);
    throw error;
  }
}

/** @param stops gets what ends the relay, or what there is of it after a failure */
async function startLocked(options: RelayOptions, stops: Stops): Promise<RunningRelay> {
  const now = options.now ?? Date.now;
  const report = options.report ?? ((): void => undefined);
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const { tell, count: countedProblems } = problemReporter(report, now);
  const services = await openOwnerServices(options, { limits, now, tell, report });
  stops.add(() => closeStore(services));
  const startedAt = now();
  const credentials = options.credentials ?? createCredentials('ed25519', 'localhost');
  const fingerprint = fingerprintOf(credentials.identityCertificate);

  // The operator's side starts after all else, and ends when nothing happens any more that its statistics count.
  const stopsAfterWork = new Stops();
  stops.add(() => stopsAfterWork.run());
  const expiry = new Expiry(services);
  stops.add(() => expiry.settled());

  throwIfStopped(options.signal);
  const shown = await openSite(options.web, report);
  let { pages } = shown;
  const host = await openHost(identityOf(credentials, shown), options, services, { tell, report });
  stops.add(() => host.stop());
  throwIfStopped(options.signal);
  const site = new SitePorts({ report, failed: services.failed });
  stops.add(() => site.stop());
  const clientKey = options.clientKey ?? clientKeyOf;
  const listener = new RelayListener(host, { limits, clientKey, failed: services.failed });
  stops.add(() => {
    listener.close();
  });
  const ports = await listener.listen(listenPlaces(options, options.port ?? 0));
  const sitePorts = await site.open(shown, {
    http: listenPlaces(options, options.web?.httpPort),
    https: listenPlaces(options, options.web?.httpsPort),
  });
  const figures = async (): Promise<RelayFigures> => {
    const { clients, processes } = await host.measure();
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
  const operator = await startOperatorSide(options.operator ?? {}, services, figures, (problem) => {
    tell({ kind: problem, sentence: problem });
  });
  stopsAfterWork.add(() => operator.stop());
  expiry.start();
  stops.add(() => {
    expiry.stop();
  });
  stops.add(closeUnused(host, options.inactiveClients, now));

  const show: RunningRelay['show'] = async (identity) => {
    if (!constantTimeEqual(fingerprintOf(identity.credentials.identityCertificate), fingerprint))
      throw new XftpError(
        'INVALID_CERTIFICATE',
        'The certificates belong to another relay: a relay keeps its identity as long as it runs.',
      );
    const next = await openSite(identity.web, report, pages);
    pages = next.pages;
    await host.show(identityOf(identity.credentials, next));
    site.show(next);
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
    expire: () => expiry.expire(),
    stop: () => (stopped ??= stops.run()),
  };
}

async function closeStore({ store }: OwnerServices): Promise<void> {
  try {
    await store.close();
  } catch (error) {
    throw describeFileError(error, 'The last changes, which no client was told of, are not in the store log');
  }
}

/** Closes connections that nobody uses, again and again until the returned function is called. */
function closeUnused(
  host: ConnectionHost,
  inactive: RelayOptions['inactiveClients'],
  now: () => number,
): () => void {
  if (inactive === undefined) return (): void => undefined;
  const timer = setInterval(() => {
    host.closeUnusedSince(now() - inactive.ttlSeconds * 1000);
  }, inactive.checkSeconds * 1000);
  return (): void => {
    clearInterval(timer);
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
