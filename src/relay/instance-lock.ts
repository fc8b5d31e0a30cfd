import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { basename, dirname, join } from 'node:path';

import { XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';
import { describeFileError } from './file-errors.js';

/** Gives a lock back. */
export type Unlock = () => Promise<void>;

/** Whether a lock is held; the process is undefined when it does not say in time who it is. */
export type LockHolder =
  { readonly held: false } | { readonly held: true; readonly process: number | undefined };

const NOBODY: LockHolder = { held: false };

/** How long the holder of a lock has to say who it is, in ms: it may be busy, and the message does without. */
const ANSWER_MS = 1000;
/** Process numbers are shorter. */
const MAX_ANSWER_LENGTH = 10;
/** What the system says of a lock that nobody holds, or not any more. */
const GIVEN_BACK: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ECONNRESET']);

/**
 * Makes sure that no other relay uses the same chunks or the same log.
 *
 * @param filesPath undefined when there is no such folder
 * @param storeLogPath undefined for a relay without a log
 * @throws XftpError ALREADY_RUNNING with the other relay's process, and as the file system fails
 */
export async function lockRelayFiles(
  filesPath: string | undefined,
  storeLogPath: string | undefined,
): Promise<Unlock> {
  const unlockFiles =
    filesPath === undefined
      ? (): Promise<void> => Promise.resolve()
      : await lockInstance(lockPath(filesPath), `The folder of chunks ${filesPath}`);
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

/** The relay that uses a folder of chunks; undefined where locks cannot tell: only on Linux they do. */
export async function relayHolderOf(filesPath: string): Promise<LockHolder | undefined> {
  if (process.platform !== 'linux') return undefined;
  let name: string;
  try {
    name = await socketName(lockPath(filesPath));
  } catch {
    return NOBODY; // There is no such folder.
  }
  return await holderOf(name);
}

/** No such file is made: the name only tells the lock of a folder from that of a file. */
function lockPath(filesPath: string): string {
  return join(filesPath, '.lock');
}

/**
 * Makes sure that no other relay uses a file or folder: a second one would compact the log under the first one's hands.
 * The lock is an abstract socket, which the system releases when the process ends, however it ends. Only Linux has them;
 * elsewhere the port that both want to listen on has to do. Whoever connects to it is told the holder's process.
 *
 * @param what it is, for a person: `The store log …`
 * @throws XftpError ALREADY_RUNNING with the other relay's process, and as the file system fails
 */
async function lockInstance(path: string, what: string): Promise<Unlock> {
  if (process.platform !== 'linux') return () => Promise.resolve();
  const name = await socketName(path).catch((error: unknown) => {
    throw describeFileError(error, `The folder ${dirname(path)} cannot be used`);
  });
  const server = createServer((socket) => {
    socket.on('error', ignore);
    socket.end(String(process.pid), () => socket.destroy());
  });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(name, resolve);
    });
  } catch (cause) {
    if (errorCode(cause) !== 'EADDRINUSE') throw describeFileError(cause, `${what} cannot be locked`);
    const holder = await holderOf(name);
    const who = holder.held && holder.process !== undefined ? ` (process ${String(holder.process)})` : '';
    throw new XftpError('ALREADY_RUNNING', `${what} is in use by another relay${who}: stop that one first.`, {
      cause,
    });
  }
  // Such as running out of file descriptors when somebody connects: the lock holds all the same.
  server.on('error', ignore);
  server.unref();
  return () =>
    new Promise((resolve) => {
      server.close(() => {
        resolve();
      });
    });
}

async function socketName(path: string): Promise<string> {
  const target = join(await realpath(dirname(path)), basename(path));
  return `\0xftp-relay-${createHash('sha256').update(target).digest('hex')}`;
}

/**
 * Asks who holds a lock. The system takes connections for a process that is stopped or busy, so only one that is refused
 * means that nobody does; one that is broken off, that the holder has just given the lock back.
 */
function holderOf(name: string): Promise<LockHolder> {
  return new Promise((resolve) => {
    let answer = '';
    let free = false;
    const socket = connect(name);
    socket.setEncoding('latin1');
    const timer = setTimeout(() => socket.destroy(), ANSWER_MS);
    socket.on('data', (text: string) => {
      answer += text;
      if (answer.length > MAX_ANSWER_LENGTH) socket.destroy();
    });
    socket.on('error', (error) => {
      free = GIVEN_BACK.has(errorCode(error) ?? '');
    });
    socket.once('close', () => {
      clearTimeout(timer);
      if (free) resolve(NOBODY);
      else resolve({ held: true, process: /^\d{1,10}$/.test(answer) ? Number(answer) : undefined });
    });
  });
}

function ignore(): void {
  // A lock needs nobody to talk to.
}
