import { CHUNK_SIZES } from '../protocol/index.js';
import type { BodyStorage } from './body-storage.js';
import { openStoreLog, type StoreLogOptions } from './compaction.js';
import { DownloadSlots } from './download-slots.js';
import { Exclusive } from './exclusive.js';
import { expiryBound } from './expiry.js';
import { openFileStorage } from './file-storage.js';
import { FlushSchedule } from './flush-schedule.js';
import type { RelayLimits } from './limits.js';
import { describeProblem, type Problem } from './problem-reporter.js';
import { StorageQuota } from './quota.js';
import { MemoryRecordStore, type RecordStore } from './record-store.js';
import { RecordTable } from './record-table.js';
import { RegistrationCredit } from './registration-credit.js';
import type { RelayOptions } from './relay-options.js';
import type { ConnectionServices, OwnerServices } from './services.js';
import { restoreStatistics } from './statistics/statistics-files.js';
import { NO_JOURNAL } from './store-log.js';
import { sweepChunks, type SweepOptions } from './sweep.js';
import { UploadSlots } from './upload-slots.js';

const DEFAULT_LIFE_SECONDS = 48 * 3600;

/** What the owner of the records has of the relay around it. */
export interface OwnerSurroundings {
  readonly limits: RelayLimits;
  /** Current time in ms. */
  readonly now: () => number;
  /** Told when the relay itself fails. */
  readonly tell: (problem: Problem) => void;
  /** Told, in one sentence, of what else the operator should know. */
  readonly report: (problem: string) => void;
}

/**
 * Reads the records, and puts in order what a crash has left.
 *
 * @throws XftpError NO_PERMISSION, DISK_FULL, LOCAL_IO, or CANCELLED, then with nothing lost
 */
export async function openOwnerServices(
  options: RelayOptions,
  { limits, now, tell, report }: OwnerSurroundings,
): Promise<OwnerServices> {
  const { signal } = options;
  const failed = (error: unknown): void => {
    tell(describeProblem(error));
  };
  const flushes = new FlushSchedule(options.fsync ?? 'always', failed);
  const storage = options.bodies ?? (await openFileStorage(options.filesPath, flushes));
  const unfinished = await storage.removeUnfinished(signal);
  const chunkLifeSeconds = options.chunkLifeSeconds ?? DEFAULT_LIFE_SECONDS;
  const { store, log } = await openStore(options.storeLogPath, { now, report, flushes, signal });
  try {
    const oldest = expiryBound(now(), chunkLifeSeconds);
    await sweepChunks(storage, store, { log, oldest, unfinished, report, signal });
    return {
      store,
      storage,
      quota: await countStored(options.storageQuota, { storage, store, tell }),
      exclusive: new Exclusive(),
      statistics: await restoreStatistics(options.operator?.statistics?.saved, now(), report),
      registrations: new RegistrationCredit(limits.registrationsPerAddress, chunkLifeSeconds * 1000, now),
      policy: {
        newFiles: options.newFiles ?? true,
        createPassword:
          options.createPassword === undefined ? undefined : Buffer.from(options.createPassword),
        chunkSizes: options.chunkSizes ?? CHUNK_SIZES,
        chunkLifeSeconds,
      },
      limits,
      now,
      failed,
    };
  } catch (error) {
    await store.close().catch(() => undefined);
    throw error;
  }
}

/** What serving connections needs, with the slots that the limits give. */
export function connectionServices(
  services: Omit<ConnectionServices, 'uploads' | 'downloads'>,
): ConnectionServices {
  const { limits } = services;
  return {
    ...services,
    uploads: new UploadSlots(limits.uploads, limits.uploadsPerConnection),
    downloads: new DownloadSlots(limits.downloads, limits.downloadsPerConnection),
  };
}

/**
 * The quota, of which the bodies that are there take their part: a deletion that a crash cut short may have left a record
 * without its body. Tells when none is: clients hear that their chunks are gone, which may not be true.
 */
async function countStored(
  limit: number | undefined,
  {
    storage,
    store,
    tell,
  }: Pick<OwnerSurroundings, 'tell'> & { readonly storage: BodyStorage; readonly store: RecordStore },
): Promise<StorageQuota> {
  const records = await store.createdBefore(Infinity);
  const bodies = records.flatMap(({ place, size }) => (place === undefined ? [] : [{ place, size }]));
  const missing = new Set(bodies.map(({ place }) => place));
  let bytes = 0;
  for await (const { place, size } of storage.present(bodies)) {
    bytes += size;
    missing.delete(place);
  }
  if (bytes === 0 && bodies.length > 0)
    tell({
      kind: 'no bodies',
      sentence:
        `Of ${String(bodies.length)} chunks that the store log knows none is in the folder of chunks, and clients are ` +
        'told that they are gone: is its disk mounted, and is [FILES] path right?',
    });
  return new StorageQuota(limit, bytes, missing);
}

async function openStore(
  path: string | undefined,
  options: StoreLogOptions,
): Promise<{ readonly store: RecordStore; readonly log: SweepOptions['log'] }> {
  if (path === undefined)
    return { store: new MemoryRecordStore(new RecordTable(), NO_JOURNAL), log: 'unwanted' };
  const { table, log, state } = await openStoreLog(path, options);
  return { store: new MemoryRecordStore(table, log), log: state };
}
