import { CHUNK_SIZES, DEFAULT_PORT, encodeBase64Url, isXftpError, XftpError } from '../protocol/index.js';
import { constantTimeEqual, fingerprintOf } from '../crypto/index.js';
import { makeFolders } from '../system/index.js';
import { ChunkStorage } from './chunk-storage.js';
import { clientKeyOf } from './client-key.js';
import { openStoreLog, type StoreLogOptions } from './compaction.js';
import type { InactiveClients } from './config.js';
import { createCredentials, type RelayCredentials } from './credentials.js';
import { DownloadSlots } from './download-slots.js';
import { Exclusive } from './exclusive.js';
import { deleteExpired, EXPIRY_INTERVAL_MS } from './expiry.js';
import { describeFileError } from './file-errors.js';
import { type FlushPolicy, FlushSchedule } from './flush-schedule.js';
import { lockRelayFiles, type Unlock } from './instance-lock.js';
import { DEFAULT_LIMITS, type RelayLimits } from './limits.js';
import { RelayListener } from './listener.js';
import { type OperatorOptions, type OperatorSide, startOperatorSide } from './operator/operator-side.js';
import type { ListenPlace } from './ports.js';
import { problemReporter, tlsReporter } from './problem-reporter.js';
import { StorageQuota } from './quota.js';
import { MemoryRecordStore, type RecordStore } from './record-store.js';
import { RecordTable } from './record-table.js';
import { RegistrationCredit } from './registration-credit.js';
import type { RelayServices } from './services.js';
import type { RelayFigures } from './statistics/figures.js';
import { restoreStatistics } from './statistics/statistics-files.js';
import type { WebSide } from './shown-identity.js';
import { throwIfStopped } from './stopped-start.js';
import { NO_JOURNAL } from './store-log.js';
import { sweepChunks } from './sweep.js';
import { UploadSlots } from './upload-slots.js';
import { NO_PAGES, readPages } from './web/pages.js';
import { type BothKinds, type Site, SitePorts } from './web/site-ports.js';
import type { WebCertificate } from './web/web-certificate.js';

/** How a relay is to run. Only the folder of the chunks must be given: an embedded relay needs no more. */
export interface RelayOptions {
  /** Folder of the chunk bodies. */
  readonly filesPath: string;
  /** Who the relay is; a fresh Ed25519 identity unless given. */
  readonly credentials?: RelayCredentials;
  /** What browsers are shown; they are not served unless it is given. */
  readonly web?: WebOptions;
  /** Port to listen on, or several; 0, the default, lets the system choose. */
  readonly port?: number | readonly number[];
  /** Address to listen on, or several; all of the machine's, IPv6 and IPv4, unless given. */
  readonly listenHost?: string | readonly string[];
  /** Host names for the server address, separated by commas; `localhost` unless given. */
  readonly host?: string;
  /** File of the store log. Without one the relay forgets all chunks when it stops. */
  readonly storeLogPath?: string;
  /** Most bytes of chunk bodies; no limit unless given. */
  readonly storageQuota?: number;
  /** How long chunks are kept, in seconds; 48 hours unless given. */
  readonly chunkLifeSeconds?: number;
  /** Whether clients may make new chunks; they may unless told otherwise. */
  readonly newFiles?: boolean;
  /** What clients must know to make new chunks. */
  readonly createPassword?: string;
  /** When to close connections that nobody uses; never unless given. */
  readonly inactiveClients?: InactiveClients;
  /** When what clients are told of is forced to the disk; before they are told, unless given. */
  readonly fsync?: FlushPolicy;
  /** Statistics, control port and metrics; none unless given. */
  readonly operator?: OperatorOptions;
  /** Whether TLS handshakes that fail are reported, without a word of who it was; they are not unless told otherwise. */
  readonly logTlsErrors?: boolean;
  /** Chunk sizes to accept, in bytes; the protocol's four unless given. */
  readonly chunkSizes?: readonly number[];
  /** For tests: other limits than the usual ones. */
  readonly limits?: Partial<RelayLimits>;
  /** For tests: what clients are counted by, given the address of one. */
  readonly clientKey?: (address: string | undefined) => string | undefined;
  /** For tests: the current time in ms. */
  readonly now?: () => number;
  /** Told, in one sentence, of trouble that the operator should know: skipped log lines, a full disk. */
  readonly report?: (problem: string) => void;
  /** Stops the start, which may take long where there is a large store log. Has no effect on a relay at work. */
  readonly signal?: AbortSignal;
}

/** What browsers get of a relay. */
export interface WebOptions {
  /** What they are shown in TLS; without it they are only served over HTTP. */
  readonly certificate?: WebCertificate;
  /** Folder of the web pages; none unless given. */
  readonly pagesPath?: string;
  /** Port for the pages alone over HTTP, 0 for one of the system's choice; none unless given. */
  readonly httpPort?: number;
  /** The same over HTTPS, with the certificate. */
  readonly httpsPort?: number;
}

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

const DEFAULT_LIFE_SECONDS = 48 * 3600;

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
  const unlock = await lockRelayFiles(options.filesPath, options.storeLogPath);
  try {
    return await startLocked(options, unlock);
  } catch (error) {
    await unlock();
    throw error;
  }
}

async function startLocked(options: RelayOptions, unlock: Unlock): Promise<RunningRelay> {
  const { services, countedProblems } = await openServices(options);
  const startedAt = services.now();
  const credentials = options.credentials ?? createCredentials('ed25519', 'localhost');
  const fingerprint = fingerprintOf(credentials.identityCertificate);
  const stopping = new AbortController();
  let expiring = Promise.resolve();
  const expire = (): Promise<void> => {
    expiring = expiring.then(() => deleteExpired(services, stopping.signal)).catch(services.failed);
    return expiring;
  };
  const figures = async (): Promise<RelayFigures> => ({
    statistics: services.statistics.snapshot,
    stored: await services.store.stored(),
    usedBytes: services.quota.used,
    quotaBytes: services.quota.limit,
    newFiles: services.policy.newFiles,
    clients: listener?.clients ?? 0,
    startedAt,
    problems: countedProblems(),
    version: options.operator?.version ?? 'embedded',
    rtsOptions: options.operator?.rtsOptions ?? 'set XFTP_RTS_OPTIONS',
  });
  const site = new SitePorts(services);
  let listener: RelayListener | undefined;
  let ports: readonly number[];
  let sitePorts: BothKinds<readonly number[]>;
  let operator: OperatorSide;
  try {
    throwIfStopped(options.signal);
    const shown = await openSite(options.web, services);
    listener = new RelayListener({ credentials, web: webSideOf(shown) }, services);
    ports = await listener.listen(listenPlaces(options, options.port ?? 0));
    sitePorts = await site.open(shown, {
      http: listenPlaces(options, options.web?.httpPort),
      https: listenPlaces(options, options.web?.httpsPort),
    });
    operator = await startOperatorSide(options.operator ?? {}, services, figures, services.report);
  } catch (error) {
    await site.stop();
    await listener?.stop();
    await services.store.close();
    throw error;
  }
  // Beside the work for clients: after a long pause there may be much to delete.
  void expire();
  const timers = [
    setInterval(() => void expire(), EXPIRY_INTERVAL_MS),
    ...inactivityTimer(options.inactiveClients, listener, services),
  ];
  const stop = async (): Promise<void> => {
    for (const timer of timers) clearInterval(timer);
    stopping.abort();
    await Promise.all([site.stop(), listener.stop()]);
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
    const shown = await openSite(identity.web, services);
    listener.show({ credentials: identity.credentials, web: webSideOf(shown) });
    site.show(shown);
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

function reportTo({ report }: RelayOptions): (problem: string) => void {
  return report ?? ((): void => undefined);
}

/** Everything but the network, and how many failures there were since. */
async function openServices(
  options: RelayOptions,
): Promise<{ readonly services: RelayServices; readonly countedProblems: () => number }> {
  const now = options.now ?? Date.now;
  const report = reportTo(options);
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const { failed, count } = problemReporter(report, now);
  const flushes = new FlushSchedule(options.fsync ?? 'always', failed);
  const storage = await ChunkStorage.open(options.filesPath, flushes, options.signal);
  const chunkLifeSeconds = options.chunkLifeSeconds ?? DEFAULT_LIFE_SECONDS;
  const { store, complete } = await openStore(options.storeLogPath, {
    now,
    report,
    flushes,
    signal: options.signal,
  });
  await sweepChunks(storage, store, { complete, report, signal: options.signal });
  const services = {
    store,
    storage,
    quota: new StorageQuota(options.storageQuota, await bytesOnDisk(storage, store)),
    exclusive: new Exclusive(),
    uploads: new UploadSlots(limits.uploads, limits.uploadsPerConnection),
    downloads: new DownloadSlots(limits.downloads, limits.downloadsPerConnection),
    statistics: await restoreStatistics(options.operator?.statistics?.saved, now(), report),
    registrations: new RegistrationCredit(limits.registrationsPerAddress, chunkLifeSeconds * 1000, now),
    policy: {
      newFiles: options.newFiles ?? true,
      createPassword: options.createPassword === undefined ? undefined : Buffer.from(options.createPassword),
      chunkSizes: options.chunkSizes ?? CHUNK_SIZES,
      chunkLifeSeconds,
    },
    limits,
    clientKey: options.clientKey ?? clientKeyOf,
    now,
    failed,
    tlsFailed: options.logTlsErrors === true ? tlsReporter(report, now) : (): void => undefined,
    report,
  };
  return { services, countedProblems: count };
}

/** Bytes of the bodies that are there: a deletion that a crash cut short may have left a record without its body. */
async function bytesOnDisk(storage: ChunkStorage, store: RecordStore): Promise<number> {
  const records = await store.createdBefore(Infinity);
  const bodies = records.flatMap(({ path, size }) => (path === undefined ? [] : [{ path, size }]));
  let bytes = 0;
  for await (const { size } of storage.present(bodies)) bytes += size;
  return bytes;
}

async function openStore(
  path: string | undefined,
  options: StoreLogOptions,
): Promise<{ readonly store: RecordStore; readonly complete: boolean }> {
  if (path === undefined)
    return { store: new MemoryRecordStore(new RecordTable(), NO_JOURNAL), complete: false };
  const { table, log, complete } = await openStoreLog(path, options);
  return { store: new MemoryRecordStore(table, log), complete };
}

/** Pages that cannot be read are no reason not to run: the chunks matter more. */
async function openSite(web: WebOptions | undefined, { report }: RelayServices): Promise<Site> {
  const { certificate, pagesPath, httpPort } = web ?? {};
  const shown = certificate !== undefined || httpPort !== undefined;
  if (pagesPath === undefined || !shown) return { certificate, pages: NO_PAGES };
  try {
    return { certificate, pages: await readPages(pagesPath) };
  } catch (error) {
    if (!isXftpError(error)) throw error;
    report(error.message);
    return { certificate, pages: NO_PAGES };
  }
}

/** What clients on the relay's own ports get of it: they need a certificate. */
function webSideOf({ pages, certificate }: Site): WebSide | undefined {
  return certificate === undefined ? undefined : { pages, certificate };
}

/** Every port on every address. */
function listenPlaces({ listenHost }: RelayOptions, port: RelayOptions['port']): ListenPlace[] {
  const hosts = typeof listenHost === 'string' ? [listenHost] : (listenHost ?? [undefined]);
  const ports = typeof port === 'number' ? [port] : (port ?? []);
  return hosts.flatMap((host) => ports.map((each) => ({ host, port: each })));
}

function inactivityTimer(
  inactive: InactiveClients | undefined,
  listener: RelayListener,
  services: RelayServices,
): NodeJS.Timeout[] {
  if (inactive === undefined) return [];
  const check = (): void => {
    listener.closeUnusedSince(services.now() - inactive.ttlSeconds * 1000);
  };
  return [setInterval(check, inactive.checkSeconds * 1000)];
}
