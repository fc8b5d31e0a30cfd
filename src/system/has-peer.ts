import type { Socket } from 'node:net';

/** The part of a TCP handle that asks the kernel for the other side's address. */
interface TcpHandle {
  /** Fills `address`; gives 0, or a negative system error. */
  readonly getpeername: (address: object) => number;
}

/**
 * Whether a connection that was established still has another side. The socket's own properties remember the address
 * instead of asking, so the handle is asked.
 *
 * Events cannot be relied on for this: Node loses the error of a write into a connection that was reset, waits for
 * that write for ever, and reads nothing meanwhile.
 */
export function hasPeer(socket: Socket): boolean {
  const handle = handleOf(socket);
  return handle === undefined || handle.getpeername({}) === 0;
}

function handleOf(socket: Socket): TcpHandle | undefined {
  const handle: unknown = '_handle' in socket ? socket._handle : undefined;
  const asks = typeof handle === 'object' && handle !== null && 'getpeername' in handle;
  // A function of Node's since its first versions; without it the stall deadline still ends the wait.
  return asks && typeof handle.getpeername === 'function' ? (handle as TcpHandle) : undefined;
}
