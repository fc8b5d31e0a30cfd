import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { basename, dirname, join } from 'node:path';

import { XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';
import { describeFileError } from './file-errors.js';

/** Gives a lock back. */
export type Unlock = () => Promise<void>;

/** What a process does with the files that it has locked. */
export type LockUse = 'relay' | 'check' | 'delete';

/** Whether a lock is held; the process is undefined when it does not say in time who it is, and counts as a relay. */
export type LockHolder =
  | { readonly held: false }
  | { readonly held: true; readonly use: LockUse; readonly process: number | undefined };

const NOBODY: LockHolder = { held: false };

/** How long the holder of a lock has to say who it is, in ms: it may be busy, and the message does without. */
const ANSWER_MS = 1000;
/** What the holder says: its process and its use; relays of version 0.1 say only the first. */
const ANSWER = /^(\d{1,10})(?: (relay|check|delete))?$/;
/** No answer is longer. */
const MAX_ANSWER_LENGTH = 20;
/** What to do about the holder of a lock that is needed. */
const WAY_OUT: Readonly<Record<LockUse, readonly [who: string, advice: string]>> = {
  relay: ['another relay', 'stop that one first'],
  check: ['xftp-server check', 'wait for its end, or stop it, first'],
  delete: ['xftp-server delete', 'answer its question, or stop it, first'],
};
/** What the system says of a lock that nobody holds, or not any more. */
const GIVEN_BACK: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ECONNRESET']);

/**
 * Makes sure that no other relay, check or deletion uses the same chunks or the same log.
 *
 * @param use what for, which the others are told
 * @param filesPath undefined when there is no such folder
 * @param storeLogPath undefined for a relay without a log
 * @throws XftpError ALREADY_RUNNING with the other relay's process, and as the file system fails
 */
export async function lockRelayFiles(
  filesPath: string | undefined,
  storeLogPath: string | undefined,
  use: LockUse,
): Promise<Unlock> {
  const unlockFiles =
    filesPath === undefined
      ? (): Promise<void> => Promise.resolve()
      : await lockInstance(lockPath(filesPath), `The folder of chunks ${filesPath}`, use);
  if (storeLogPath === undefined) return unlockFiles;
  try {
    const unlockLog = await lockInstance(storeLogPath, `The store log ${storeLogPath}`, use);
    return async () => {
      await unlockLog();
      await unlockFiles();
    };
  } catch (error) {
    await unlockFiles();
    throw error;
  }
}

/** Who uses a folder of chunks; undefined where locks cannot tell: only on Linux they do. */
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
 * elsewhere the port that both want to listen on has to do. Whoever connects to it is told the holder's process and use.
 *
 * @param what it is, for a person: `The store log …`
 * @throws XftpError ALREADY_RUNNING with the other one's process, and as the file system fails
 */
async function lockInstance(path: string, what: string, use: LockUse): Promise<Unlock> {
  if (process.platform !== 'linux') return () => Promise.resolve();
  const name = await socketName(path).catch((error: unknown) => {
    throw describeFileError(error, `The folder ${dirname(path)} cannot be used`);
  });
  const server = createServer((socket) => {
    socket.on('error', ignore);
    socket.end(`${String(process.pid)} ${use}`, () => socket.destroy());
  });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(name, resolve);
    });
  } catch (cause) {
    if (errorCode(cause) !== 'EADDRINUSE') throw describeFileError(cause, `${what} cannot be locked`);
    const holder = await holderOf(name);
    const [who, advice] = WAY_OUT[holder.held ? holder.use : 'relay'];
    const number = holder.held && holder.process !== undefined ? ` (process ${String(holder.process)})` : '';
    throw new XftpError('ALREADY_RUNNING', `${what} is in use by ${who}${number}: ${advice}.`, { cause });
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
      else resolve({ held: true, ...parseAnswer(answer) });
    });
  });
}

function parseAnswer(answer: string): { readonly use: LockUse; readonly process: number | undefined } {
  const [, number, use = 'relay'] = ANSWER.exec(answer) ?? [];
  return { use: use as LockUse, process: number === undefined ? undefined : Number(number) };
}

function ignore(): void {
  // A lock needs nobody to talk to.
}
