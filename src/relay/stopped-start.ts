import { XftpError } from '../protocol/index.js';

/** @throws XftpError CANCELLED when a start is not wanted any more */
export function throwIfStopped(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true)
    throw new XftpError('CANCELLED', 'The relay was told to stop before it had started.');
}
