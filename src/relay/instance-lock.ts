import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { createServer } from 'node:net';
import { basename, dirname, join } from 'node:path';

import { XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';

/** Gives a lock back. */
export type Unlock = () => Promise<void>;

/**
 * Makes sure that no other relay uses a file or folder: a second one would compact the log under the first one's hands.
 * The lock is an abstract socket, which the system releases when the process ends, however it ends. Only Linux has them;
 * elsewhere the port that both want to listen on has to do.
 *
 * @throws XftpError ADDRESS_IN_USE
 */
export async function lockInstance(path: string): Promise<Unlock> {
  if (process.platform !== 'linux') return () => Promise.resolve();
  const target = join(await realpath(dirname(path)), basename(path));
  const name = createHash('sha256').update(target).digest('hex');
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const taken = errorCode(cause) === 'EADDRINUSE';
      reject(
        taken
          ? new XftpError('ADDRESS_IN_USE', `Another relay is using ${path}: stop it first.`, { cause })
          : cause,
      );
    });
    server.listen(`\0xftp-relay-${name}`, resolve);
  });
  server.unref();
  return () =>
    new Promise((resolve) => {
      server.close(() => {
        resolve();
      });
    });
}
