import { once } from 'node:events';
import { access, chmod, lstat, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';

import { XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';

/** What the kernel takes for the path of a socket, with its end. */
const MAX_SOCKET_PATH = 107;
/** A socket whose owner does not even accept within this time has none. */
const PROBE_TIMEOUT = 1000;

/** Where only programs of this machine come from. */
const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '::1', 'localhost']);

/** Listens on a loopback address; resolves with the port. */
export async function listenOnLoopback(server: Server, host: string, port: number): Promise<number> {
  if (!LOOPBACK.has(host))
    throw new XftpError(
      'INVALID_ARGUMENT',
      'The RPC listens on loopback addresses only (127.0.0.1, ::1 or localhost): whoever reaches it can read files.',
    );
  await listening(server, () => server.listen({ host, port }), `port ${String(port)}`);
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}

/** Listens on a Unix socket that only this user can open; a socket file that nobody serves any more is replaced. */
export async function listenOnSocket(server: Server, path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH)
    throw new XftpError(
      'INVALID_ARGUMENT',
      `The path of a socket has at most ${String(MAX_SOCKET_PATH)} bytes; choose a shorter one.`,
    );
  // The system would say that there is no permission.
  await access(dirname(path)).catch((cause: unknown) => {
    throw new XftpError('SOURCE_MISSING', `The folder ${dirname(path)} of the socket does not exist.`, {
      cause,
    });
  });
  const there = await lstat(path).catch(() => undefined);
  if (there?.isSocket() === true) {
    if (await isServed(path)) throw inUse('the socket of the RPC');
    await rm(path, { force: true });
  } else if (there !== undefined)
    throw new XftpError('FILE_EXISTS', `${path} is no socket, and stays: choose another path to listen on.`);
  await listening(
    server,
    () => {
      // The file is made within this call, with its mode; nobody can connect before it is restricted.
      const mask = process.umask(0o177);
      try {
        server.listen({ path });
      } finally {
        process.umask(mask);
      }
    },
    'the socket of the RPC',
  );
  await chmod(path, 0o600);
}

async function isServed(path: string): Promise<boolean> {
  const socket = connect({ path });
  socket.setTimeout(PROBE_TIMEOUT, () => socket.destroy(new Error('no answer')));
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function listening(server: Server, listen: () => void, where: string): Promise<void> {
  try {
    const started = once(server, 'listening');
    listen();
    await started;
  } catch (cause) {
    const code = errorCode(cause);
    if (code === 'EADDRINUSE') throw inUse(where, cause);
    if (code === 'EACCES' || code === 'EPERM')
      throw new XftpError('NO_PERMISSION', `This user may not listen on ${where}.`, { cause });
    throw new XftpError('LOCAL_IO', `Listening on ${where} failed.`, { cause });
  }
}

function inUse(where: string, cause?: unknown): XftpError {
  return new XftpError('ADDRESS_IN_USE', `Another program listens on ${where} already.`, { cause });
}
