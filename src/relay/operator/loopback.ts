import type { Server } from 'node:net';

import { XftpError } from '../../protocol/index.js';
import { errorCode } from '../../system/index.js';
import { describeFileError } from '../file-errors.js';

/** Where operators and their programs are: on this machine. */
export const LOOPBACK = '127.0.0.1';

/**
 * Starts to listen on loopback, and gives the port.
 *
 * @param what listens, for a person
 * @throws XftpError ADDRESS_IN_USE, NO_PERMISSION or LOCAL_IO
 */
export async function listenOnLoopback(server: Server, port: number, what: string): Promise<number> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, LOOPBACK, resolve);
    });
  } catch (cause) {
    const place = `${what} cannot listen on ${LOOPBACK}, port ${String(port)}`;
    if (errorCode(cause) !== 'EADDRINUSE') throw describeFileError(cause, place);
    throw new XftpError(
      'ADDRESS_IN_USE',
      `${place}: another program listens there already; set another port in [TRANSPORT] of file-server.ini.`,
      { cause },
    );
  }
  // Such as running out of file descriptors: the next one who comes may have more luck.
  server.on('error', () => undefined);
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}
