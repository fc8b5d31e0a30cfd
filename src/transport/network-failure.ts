import { XftpError } from '../protocol/index.js';
import { errorCode } from '../system/index.js';

/** Node's error codes that mean "the other side cannot be reached at all". */
export const UNREACHABLE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'the name does not exist or cannot be looked up',
  EAI_AGAIN: 'the name cannot be looked up at the moment',
  EHOSTUNREACH: 'there is no route to it',
  ENETUNREACH: 'the network cannot be reached',
  ENETDOWN: 'the network is down',
  ETIMEDOUT: 'it does not answer',
  EACCES: 'this machine forbids the connection',
  EPERM: 'this machine forbids the connection',
};

/** The failure of an attempt to connect to `place` (host and port). */
export function connectFailure(place: string, cause: unknown): XftpError {
  const code = errorCode(cause) ?? '';
  const reason = UNREACHABLE[code];
  if (reason !== undefined)
    return new XftpError('CONNECT_FAILED', `Cannot connect to ${place}: ${reason}.`, { cause });
  if (code.startsWith('ERR_SSL') || code === 'EPROTO')
    return new XftpError('TLS_FAILED', `${place} does not complete a TLS handshake as an XFTP relay does.`, {
      cause,
    });
  return new XftpError('CONNECT_FAILED', `The connection to ${place} broke while it was set up.`, { cause });
}

/** The failure of everything that runs on a connection to `place` when that connection ends. */
export function connectionLost(place: string, cause?: unknown): XftpError {
  return new XftpError('CONNECTION_LOST', `The connection to ${place} was lost.`, { cause });
}

/** The failure of a step during which no byte moved for `stallMs` milliseconds. */
export function stalled(place: string, stallMs: number): XftpError {
  return new XftpError(
    'STALLED',
    `${place} has not sent or taken a byte for ${String(Math.round(stallMs / 1000))} seconds.`,
  );
}

/** The failure of a step that the caller stopped. */
export function cancelled(): XftpError {
  return new XftpError('CANCELLED', 'The transfer was stopped.');
}

/** Throws if the caller has stopped already. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw cancelled();
}
