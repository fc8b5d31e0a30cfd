import { constants } from 'node:fs';
import { access, readdir } from 'node:fs/promises';
import { basename } from 'node:path';

import { XftpError } from '../../protocol/index.js';
import { takeBack } from '../compaction.js';
import type { RelayConfig } from '../config.js';
import { readCredentials } from '../credentials.js';
import { describeFileError } from '../file-errors.js';
import { isBodyName, isIncomingName } from '../file-storage.js';
import { relayFiles, type RelayFolders } from '../folders.js';
import { lockRelayFiles } from '../instance-lock.js';
import { readStoreLog } from '../read-store-log.js';
import type { RecordTable } from '../record-table.js';
import { type BodyDamage, checkBody } from './body-check.js';
import type { Damage } from './damage.js';
import { repairRelay } from './repair-relay.js';

/** How a relay is to be checked. */
export interface CheckOptions {
  /** Whether what is found is repaired where that is possible. */
  readonly repair: boolean;
  /** Whether bodies are read and their digests compared, or only their sizes. */
  readonly digests: boolean;
  /** Told how many bytes of bodies are done, and of how many. */
  readonly progress?: (done: number, total: number) => void;
  /** Current time in ms; for the name of the old log. */
  readonly now?: () => number;
}

/** Something that is not as it should be, in one sentence. */
export interface CheckFinding {
  readonly message: string;
  /** `damage`: a repair helps; `hopeless`: it does not, or not yet; `warning`: it costs nothing but should be known. */
  readonly kind: 'damage' | 'hopeless' | 'warning';
}

/** What a check found. */
export interface CheckReport {
  readonly chunks: number;
  /** Bodies that the records name, and how many bytes they should have. */
  readonly bodies: number;
  readonly bytes: number;
  readonly findings: readonly CheckFinding[];
  /** What was done, one sentence each; empty unless a repair was wanted. */
  readonly repairs: readonly string[];
  /** `repaired`: there was damage, and none is left. */
  readonly outcome: 'clean' | 'repaired' | 'damaged';
}

/**
 * Checks everything that a relay keeps: its keys, each line of the log, each body and the folder of chunks.
 *
 * @throws XftpError ALREADY_RUNNING while a relay runs on it, INVALID_CONFIG without a store log, and as the disk fails
 */
export async function checkRelay(
  folders: RelayFolders,
  config: RelayConfig,
  options: CheckOptions,
): Promise<CheckReport> {
  const { filesPath } = config;
  if (!config.storeLog)
    throw new XftpError(
      'INVALID_CONFIG',
      'There is nothing to check: this relay keeps no store log ([STORE_LOG] enable is off).',
    );
  // The dot: what is no folder is told apart from one that may not be read.
  await access(`${filesPath}/.`, constants.R_OK | constants.X_OK).catch((error: unknown) => {
    throw describeFileError(
      error,
      `The folder of chunks ${filesPath} cannot be read`,
      'is its disk mounted?',
    );
  });
  const storeLogPath = relayFiles(folders).storeLog;
  const unlock = await lockRelayFiles(filesPath, storeLogPath, 'check');
  try {
    return await checkLocked(folders, config, storeLogPath, options);
  } catch (error) {
    const path = pathOf(error);
    throw describeFileError(
      error,
      `The check could not be finished${path === undefined ? '' : ` because of ${path}`}`,
    );
  } finally {
    await unlock();
  }
}

/** The file that an error of the file system is about, where it says so. */
function pathOf(error: unknown): string | undefined {
  return error instanceof Error && 'path' in error && typeof error.path === 'string' ? error.path : undefined;
}

async function checkLocked(
  folders: RelayFolders,
  config: RelayConfig,
  storeLogPath: string,
  options: CheckOptions,
): Promise<CheckReport> {
  const findings: CheckFinding[] = [];
  const find = (kind: CheckFinding['kind'], message: string): void => {
    findings.push({ kind, message });
  };
  await checkCredentials(folders, find);
  const { table, lines, hadLog } = await checkLog(storeLogPath, find);
  const { bodies, moved } = await checkBodies(table, config.filesPath, options, find);
  const leftOvers = await checkFolder(table, config.filesPath, hadLog, find);
  const { stored } = table;
  const { storageQuota } = config;
  if (storageQuota !== undefined && stored.bytes > storageQuota)
    find(
      'warning',
      `The chunks take up ${String(stored.bytes)} bytes, more than the ${String(storageQuota)} of storage_quota: ` +
        'no more can be uploaded until enough have expired.',
    );
  const wrongFolder = isWrongFolder(bodies, stored.count);
  const report = {
    chunks: table.size,
    bodies: stored.count,
    bytes: stored.bytes,
    findings: wrongFolder ? findings.map(withoutRepair) : findings,
  };
  const damage: Damage = { table, lines, hadLog, bodies, moved, leftOvers };
  const damaged = report.findings.some(({ kind }) => kind === 'damage');
  const hopeless = report.findings.some(({ kind }) => kind === 'hopeless');
  // A repair that can remove none of the left-over files still tells what to do about them.
  if (!options.repair || wrongFolder || !(damaged || leftOvers.length > 0))
    return { ...report, repairs: [], outcome: damaged || hopeless ? 'damaged' : 'clean' };
  const { repairs, left } = await repairRelay(damage, {
    filesPath: config.filesPath,
    storeLogPath,
    now: (options.now ?? Date.now)(),
  });
  return { ...report, repairs, outcome: hopeless || left ? 'damaged' : 'repaired' };
}

type Find = (kind: CheckFinding['kind'], message: string) => void;

async function checkCredentials(folders: RelayFolders, find: Find): Promise<void> {
  try {
    await readCredentials(folders, {
      online: 'run `xftp-server cert` to make a new certificate and key',
      identity: 'restore both from a backup, since the address of the relay depends on them',
    });
  } catch (error) {
    find('hopeless', describeFileError(error, 'The keys cannot be read').message);
  }
}

async function checkLog(path: string, find: Find): Promise<Pick<Damage, 'table' | 'lines' | 'hadLog'>> {
  const hadLog = await takeBack(path);
  if (!hadLog)
    find(
      'warning',
      `There is no store log ${path}: the relay was never started, or its log is lost and has to be restored from a backup.`,
    );
  let lines = 0;
  const table = await readStoreLog(path, {
    report: (problem) => {
      lines += 1;
      find(
        'damage',
        problem.replace('was skipped: ', 'means nothing: ').replace('was dropped: ', 'means nothing: '),
      );
    },
    signal: undefined,
  });
  return { table, lines, hadLog };
}

const IN_WORDS: Readonly<Record<BodyDamage, string>> = {
  missing: 'is missing',
  'no regular file': 'is no regular file',
  'wrong size': 'has a wrong size',
  'wrong digest': 'has a wrong digest',
};

async function checkBodies(
  table: RecordTable,
  filesPath: string,
  { digests, progress }: CheckOptions,
  find: Find,
): Promise<Pick<Damage, 'bodies' | 'moved'>> {
  const bodies: Damage['bodies'][number][] = [];
  const moved: Damage['moved'][number][] = [];
  let checkedBodies = 0;
  let done = 0;
  for (const record of table.records()) {
    const { place } = record;
    if (place === undefined) continue;
    const checked = await checkBody({ ...record, place }, filesPath, digests);
    checkedBodies += 1;
    done += record.size;
    progress?.(done, table.stored.bytes);
    const { path, state } = checked;
    if (state === 'unreadable')
      find('hopeless', describeFileError(checked.error, `The chunk ${path} cannot be read`).message);
    else if (state !== 'sound') bodies.push({ record, path, state });
    else if (path !== place) moved.push({ record, path });
  }
  if (isWrongFolder(bodies, checkedBodies))
    find(
      'hopeless',
      `None of the ${String(checkedBodies)} chunks is in ${filesPath}: is the disk mounted, and is [FILES] path right?`,
    );
  else for (const { path, state } of bodies) find('damage', `The chunk ${path} ${IN_WORDS[state]}.`);
  for (const { record, path } of moved)
    find('damage', `The chunk ${path} is stored here, but the store log names ${String(record.place)}.`);
  return { bodies, moved };
}

async function checkFolder(
  table: RecordTable,
  filesPath: string,
  hadLog: boolean,
  find: Find,
): Promise<readonly string[]> {
  const owned = new Set<string>();
  for (const { place } of table.records()) if (place !== undefined) owned.add(basename(place));
  const entries = await readdir(filesPath, { withFileTypes: true });
  const leftOvers = entries
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)
    .filter((name) => isIncomingName(name) || (isBodyName(name) && !owned.has(name)));
  for (const name of leftOvers)
    find(
      // No repair removes what may be chunks of a log that is lost.
      (hadLog && owned.size > 0) || isIncomingName(name) ? 'damage' : 'hopeless',
      `The file ${name} in the folder of chunks belongs to no chunk.`,
    );
  return leftOvers;
}

/** As nothing is repaired while the chunks are not there. */
function withoutRepair({ kind, message }: CheckFinding): CheckFinding {
  return { kind: kind === 'damage' ? 'hopeless' : kind, message };
}

/** When nothing that the log names is there, a repair would give up all chunks for what is more likely a wrong path. */
function isWrongFolder(bodies: Damage['bodies'], stored: number): boolean {
  return stored > 0 && bodies.length === stored && bodies.every(({ state }) => state === 'missing');
}
