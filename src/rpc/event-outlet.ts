import type { WebSocket } from 'ws';

import type { EventOutlet } from './event-subscription.js';
import type { RpcLimits } from './limits.js';

/** Close codes of WebSockets, as far as the server uses them. */
export const CLOSE_GOING_AWAY = 1001;
export const CLOSE_NOT_TEXT = 1003;
export const CLOSE_REVOKED = 1008;
export const CLOSE_ERROR = 1011;
export const CLOSE_TRY_AGAIN = 1013;

const TOO_SLOW = 'too slow: reconnect with since';

/** The events of one connection, with a bound on what waits for a client that does not read. */
export function eventOutlet(
  socket: WebSocket,
  limits: RpcLimits,
  report: (error: unknown) => void,
): EventOutlet {
  // Events that were not yet reported as written. Those of one turn of the event loop count even when the system has
  // taken them, and a long answer counts as buffered: only when both are too much, the client does not read its events.
  let waiting = 0;
  let drained: (() => void)[] = [];

  const isOpen = (): boolean => socket.readyState === socket.OPEN;
  const isFull = (): boolean => isOpen() && waiting > limits.progressBytes;
  const close = (code: number, reason: string): void => {
    socket.close(code, reason);
    wake();
  };
  const wake = (): void => {
    const all = drained;
    drained = [];
    for (const resolve of all) resolve();
  };
  socket.once('close', wake);

  function send(text: string): void {
    const length = Buffer.byteLength(text);
    waiting += length;
    socket.send(text, () => {
      waiting -= length;
      if (waiting <= limits.progressBytes) wake();
    });
  }

  return {
    durable: (text) => {
      if (!isOpen()) return;
      if (waiting > limits.eventBytes && socket.bufferedAmount > limits.eventBytes)
        close(CLOSE_TRY_AGAIN, TOO_SLOW);
      else send(text);
    },
    progress: (text) => {
      if (isOpen() && socket.bufferedAmount <= limits.progressBytes) send(text);
    },
    isFull,
    drained: async () => {
      if (!isFull()) {
        // Other clients get their turn between two pages.
        await new Promise(setImmediate);
        return;
      }
      await new Promise<void>((resolve) => drained.push(resolve));
    },
    overtaken: () => {
      close(CLOSE_TRY_AGAIN, TOO_SLOW);
    },
    failed: (error) => {
      report(error);
      close(CLOSE_ERROR, 'internal error');
    },
  };
}
