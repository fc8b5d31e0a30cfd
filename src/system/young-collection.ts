import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Bytes received between two collections: a few MB of garbage, and a collection costs less than a millisecond. */
const BYTES_BETWEEN = 4 * 1024 * 1024;

type CollectGarbage = (options: { readonly type: 'minor' }) => void;

let collect: CollectGarbage | undefined;
let received = 0;

/**
 * Counts bytes that came through HTTP/2 and collects young garbage now and then.
 *
 * HTTP/2 makes a buffer for each frame. V8 sees only their small handles and lets tens of megabytes of dead buffers
 * pile up before it collects, and then does so the expensive way. Doing it in time keeps the memory of a download small.
 */
export function countReceived(bytes: number): void {
  received += bytes;
  if (received < BYTES_BETWEEN) return;
  received = 0;
  // Not in the midst of the event: a collection that is asked for also runs the finalizers of native objects at once,
  // and those of HTTP/2 and TLS are at work there.
  setImmediate(() => {
    collect ??= exposeCollector();
    collect({ type: 'minor' });
  });
}

function exposeCollector(): CollectGarbage {
  setFlagsFromString('--expose-gc');
  const exposed: unknown = runInNewContext('globalThis.gc');
  // V8's own function, with the options that its documentation gives it.
  return typeof exposed === 'function' ? (exposed as CollectGarbage) : (): void => undefined;
}
