import { constants, type Stats } from 'node:fs';
import { access, lstat, readdir, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { humanSize, XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';
import { localFailure } from '../transfer/index.js';

/** What a check found, and what to do about it. */
export interface Check {
  readonly name: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly message: string;
  readonly hint?: string;
}

/** Less than this keeps the database from growing. */
const DISK_FAIL = 100 * 1024 ** 2;
/** Less than this is used up by a single large file. */
const DISK_WARN = 1024 ** 3;

/** No clock that is right is before this: the program was not written then. */
const EARLIEST_TIME = Date.UTC(2025, 0, 1);
/** Clocks are set a little now and then. */
const CLOCK_TOLERANCE_MS = 60_000;

/** Whether others than the owner have no access to a mode's file. */
function isPrivate({ mode }: Pick<Stats, 'mode'>): boolean {
  return process.platform === 'win32' || (mode & 0o077) === 0;
}

/** Whether somebody else owns it, whom root does not mind. */
function isForeign({ uid }: Pick<Stats, 'uid'>): boolean {
  const user = process.getuid?.() ?? 0;
  return user !== 0 && uid !== user;
}

/** File of the data folder with the token of the user. */
const TOKEN_FILE = 'token';

/** The data folder holds keys and the token: nobody else may look in. */
export async function checkPrivate(dataDir: string): Promise<readonly Check[]> {
  const name = 'data folder';
  let stats: Stats;
  try {
    stats = await stat(dataDir);
  } catch (error) {
    const { message } = localFailure(error, dataDir);
    return [{ name, status: 'fail', message, hint: '`xftp-agent start` makes it.' }];
  }
  const others = `others than you may look into ${dataDir}.`;
  if (isForeign(stats))
    return [
      {
        name,
        status: 'fail',
        message: `${dataDir} belongs to another user.`,
        hint: `Was the agent once started as root? \`sudo chown -R "$USER" ${dataDir}\` makes it yours.`,
      },
    ];
  return [
    isPrivate(stats)
      ? { name, status: 'ok', message: `${dataDir} is yours alone.` }
      : { name, status: 'fail', message: others, hint: `chmod 700 ${dataDir}` },
    ...(await checkPrivateFiles(dataDir)),
  ];
}

async function checkPrivateFiles(dataDir: string): Promise<readonly Check[]> {
  const checks: Check[] = [];
  const names = await readdir(dataDir).catch(() => []);
  for (const file of names) {
    const path = join(dataDir, file);
    const stats = await lstat(path).catch(() => undefined);
    if (stats?.isFile() !== true) continue;
    const name = file === TOKEN_FILE ? 'token' : 'data file';
    if (!isPrivate(stats))
      checks.push({
        name,
        status: 'fail',
        message: `others may have access to ${path}.`,
        hint: `chmod 600 ${path}`,
      });
    else if (file === TOKEN_FILE) checks.push({ name, status: 'ok', message: `${path} is yours alone.` });
  }
  return checks;
}

/** Whether files can be saved in the folder for downloads, which the agent makes with the first of them. */
export async function checkWritable(folder: string): Promise<readonly Check[]> {
  const name = 'downloads';
  try {
    const isThere = await accessNearest(folder);
    const when = isThere ? '' : ', which will be made with the first of them';
    return [{ name, status: 'ok', message: `files can be saved in ${folder}${when}.` }];
  } catch (error) {
    const hint = 'Choose another folder: `xftp-agent start --downloads DIR`.';
    return [{ name, status: 'fail', message: localFailure(error, folder).message, hint }];
  }
}

/**
 * Checks that files can be made in a folder, or in the nearest one above it that is there.
 *
 * @returns whether it is the folder itself
 * @throws XftpError about that folder
 */
async function accessNearest(folder: string): Promise<boolean> {
  try {
    if (!(await stat(folder)).isDirectory())
      throw new XftpError('INVALID_ARGUMENT', `${folder} is not a folder.`);
    await access(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch (error) {
    const failure = localFailure(error, folder);
    // Something of that name which leads nowhere cannot be made.
    if (errorCode(error) !== 'ENOENT' || (await lstat(folder).catch(() => undefined)) !== undefined)
      throw failure;
    await accessNearest(dirname(folder));
    return false;
  }
}

/** Whether there is room where the agent writes. */
export async function checkDisk(...folders: readonly string[]): Promise<readonly Check[]> {
  const checks = folders.map(async (folder): Promise<Check | undefined> => {
    try {
      const { bavail, bsize } = await statfs(folder);
      return diskCheck(folder, bavail * bsize);
    } catch {
      // A folder that is not there is told of by the check of that folder.
      return undefined;
    }
  });
  return (await Promise.all(checks)).filter((check) => check !== undefined);
}

function diskCheck(folder: string, free: number): Check {
  const name = 'disk';
  const message = `${humanSize(free)} are free for ${folder}.`;
  const hint = 'Make room: files that do not fit wait until there is some.';
  if (free < DISK_FAIL) return { name, status: 'fail', message, hint };
  // Enough to go on with: nothing has to be done yet.
  return free < DISK_WARN
    ? { name, status: 'warn', message: `only ${message}` }
    : { name, status: 'ok', message };
}

/** Deadlines and certificates need a clock that is about right. Both in milliseconds since 1970. */
export function checkClock(startedAt: number, now: number): readonly Check[] {
  const name = 'clock';
  const hint = 'Set the clock, best by the network (NTP).';
  const shown = `it is ${new Date(now).toISOString()}`;
  if (now < EARLIEST_TIME) return [{ name, status: 'fail', message: `${shown}, which cannot be.`, hint }];
  if (now + CLOCK_TOLERANCE_MS < startedAt)
    return [
      { name, status: 'fail', message: `${shown}, before the agent was started: the clock went back.`, hint },
    ];
  return [{ name, status: 'ok', message: `${shown}.` }];
}
