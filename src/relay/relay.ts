import { join } from 'node:path';

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
import { lockInstance, type Unlock } from './instance-lock.js';
import { DEFAULT_LIMITS, type RelayLimits } from './limits.js';
import { RelayListener } from './listener.js';
import type { ListenPlace } from './ports.js';
import { problemReporter } from './problem-reporter.js';
import { StorageQuota } from './quota.js';
import { MemoryRecordStore, type RecordStore } from './record-store.js';
import { RecordTable } from './record-table.js';
import { RegistrationCredit } from './registration-credit.js';
import type { RelayServices } from './services.js';
import type { WebSide } from './shown-identity.js';
import { throwIfStopped } from './stopped-start.js';
import { NO_JOURNAL } from './store-log.js';
import { sweepChunks } from './sweep.js';
import { UploadSlots } from './upload-slots.js';
import { NO_PAGES, readPages } from './web/pages.js';
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
  readonly certificate: WebCertificate;
  /** Folder of the web pages; none unless given. */
  readonly pagesPath?: string;
}

/** A relay at work. */
export interface RunningRelay {
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
  /**
   * Shows other certificates and pages to whoever connects from now on; connections and requests under way go on.
   *
   * @throws XftpError INVALID_CERTIFICATE when the identity is another, which clients would take for another relay;
   * then nothing has changed
   */
  readonly show: (identity: {
    readonly credentials: RelayCredentials;
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
  const unlock = await lockFiles(options);
  try {
    return await startLocked(options, unlock);
  } catch (error) {
    await unlock();
    throw error;
  }
}

/** No other relay may use the same log or the same chunks. */
async function lockFiles({ filesPath, storeLogPath }: RelayOptions): Promise<Unlock> {
  await makeFolders(filesPath).catch((error: unknown) => {
    throw describeFileError(error, `The folder of chunks ${filesPath} cannot be used`);
  });
  // No such file is made: the name only tells the lock of a folder from that of a file.
  const unlockFiles = await lockInstance(join(filesPath, '.lock'), `The folder of chunks ${filesPath}`);
  if (storeLogPath === undefined) return unlockFiles;
  try {
    const unlockLog = await lockInstance(storeLogPath, `The store log ${storeLogPath}`);
    return async () => {
      await unlockLog();
      await unlockFiles();
    };
  } catch (error) {
    await unlockFiles();
    throw error;
  }
}

async function startLocked(options: RelayOptions, unlock: Unlock): Promise<RunningRelay> {
  const services = await openServices(options);
  const credentials = options.credentials ?? createCredentials('ed25519', 'localhost');
  const fingerprint = fingerprintOf(credentials.identityCertificate);
  const stopping = new AbortController();
  let expiring = Promise.resolve();
  const expire = (): Promise<void> => {
    expiring = expiring.then(() => deleteExpired(services, stopping.signal)).catch(services.failed);
    return expiring;
  };
  let listener: RelayListener;
  let ports: readonly number[];
  try {
    throwIfStopped(options.signal);
    const shown = { credentials, web: await openWeb(options.web, services) };
    listener = new RelayListener(shown, services);
    ports = await listener.listen(listenPlaces(options));
  } catch (error) {
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
    await listener.stop();
    await expiring;
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
    listener.show({ credentials: identity.credentials, web: await openWeb(identity.web, services) });
  };
  const [port = 0] = ports;
  let stopped: Promise<void> | undefined;
  return {
    port,
    ports,
    show,
    fingerprint,
    address: formatRelayAddress(encodeBase64Url(fingerprint), options.host ?? 'localhost', port),
    usedBytes: () => services.quota.used,
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

async function openServices(options: RelayOptions): Promise<RelayServices> {
  const now = options.now ?? Date.now;
  const report = options.report ?? ((): void => undefined);
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const chunkLifeSeconds = options.chunkLifeSeconds ?? DEFAULT_LIFE_SECONDS;
  const storage = await ChunkStorage.open(options.filesPath, options.signal);
  const { store, complete } = await openStore(options.storeLogPath, {
    now,
    report,
    signal: options.signal,
  });
  await sweepChunks(storage, store, { complete, report, signal: options.signal });
  return {
    store,
    storage,
    quota: new StorageQuota(options.storageQuota, await store.storedBytes()),
    exclusive: new Exclusive(),
    uploads: new UploadSlots(limits.uploads, limits.uploadsPerConnection),
    downloads: new DownloadSlots(limits.downloads, limits.downloadsPerConnection),
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
    failed: problemReporter(report, now),
    report,
  };
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
async function openWeb(web: WebOptions | undefined, { report }: RelayServices): Promise<WebSide | undefined> {
  if (web === undefined) return undefined;
  const { certificate, pagesPath } = web;
  if (pagesPath === undefined) return { certificate, pages: NO_PAGES };
  try {
    return { certificate, pages: await readPages(pagesPath) };
  } catch (error) {
    if (!isXftpError(error)) throw error;
    report(error.message);
    return { certificate, pages: NO_PAGES };
  }
}

/** Every port on every address. */
function listenPlaces({ listenHost, port }: RelayOptions): ListenPlace[] {
  const hosts = typeof listenHost === 'string' ? [listenHost] : (listenHost ?? [undefined]);
  const ports = typeof port === 'number' ? [port] : (port ?? [0]);
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
