import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { basename, dirname, join } from 'node:path';

import { XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';
import { describeFileError } from './file-errors.js';

/** Gives a lock back. */
export type Unlock = () => Promise<void>;

/** How long the holder of a lock has to say who it is, in ms: it may be busy, and the message does without. */
const ANSWER_MS = 1000;
/** Process numbers are shorter. */
const MAX_ANSWER_LENGTH = 10;

/**
 * Makes sure that no other relay uses the same chunks or the same log.
 *
 * @param storeLogPath undefined for a relay without a log
 * @throws XftpError ALREADY_RUNNING with the other relay's process, and as the file system fails
 */
export async function lockRelayFiles(filesPath: string, storeLogPath: string | undefined): Promise<Unlock> {
  const unlockFiles = await lockInstance(lockPath(filesPath), `The folder of chunks ${filesPath}`);
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

/**
 * The process of the relay that uses a folder of chunks; undefined when there is none, where locks cannot tell (only on
 * Linux they do), or when it does not answer.
 */
export async function relayProcessOf(filesPath: string): Promise<number | undefined> {
  if (process.platform !== 'linux') return undefined;
  try {
    const holder = await holderOf(await socketName(lockPath(filesPath)));
    return holder === undefined ? undefined : Number(holder);
  } catch {
    return undefined; // There is no such folder.
  }
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
    const process = holder === undefined ? '' : ` (process ${holder})`;
    throw new XftpError(
      'ALREADY_RUNNING',
      `${what} is in use by another relay${process}: stop that one first.`,
      {
        cause,
      },
    );
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

/** The number of the process that holds a lock; undefined if it does not tell. */
function holderOf(name: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(name);
    socket.setEncoding('latin1');
    const timer = setTimeout(() => socket.destroy(), ANSWER_MS);
    socket.on('data', (text: string) => {
      answer += text;
      if (answer.length > MAX_ANSWER_LENGTH) socket.destroy();
    });
    socket.on('error', ignore);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve(/^\d{1,10}$/.test(answer) ? answer : undefined);
    });
  });
}

function ignore(): void {
  // A lock needs nobody to talk to.
}
