import type { Socket } from 'node:net';

import type { ProcessUse } from './process-use.js';
import type { ShownIdentity } from './shown-identity.js';

/** Serves connections: in this process, or in others. */
export interface ConnectionHost {
  /**
   * Serves a connection that was accepted, and calls `ended` once when it is over.
   *
   * @param socket paused, so that nothing of it was read
   * @param client what it is counted by; undefined if it is not counted
   */
  take(socket: Socket, client: string | undefined, ended: () => void): void;
  /** Shows something else to whoever connects from now on. Connections and handshakes under way go on unchanged. */
  show(shown: ShownIdentity): Promise<void>;
  /** Closes connections whose last request started before a time, in ms. */
  closeUnusedSince(time: number): void;
  /** How it is at the moment. */
  measure(): Promise<HostMeasures>;
  /** Takes no more requests, waits for those under way as long as the limits say, and then ends what is left. */
  stop(): Promise<void>;
}

/** What there is to know of a host in numbers. */
export interface HostMeasures {
  /** Connections whose TLS handshake is done. */
  readonly clients: number;
  /** What its own processes have used up; none when it is in this one. */
  readonly processes: readonly ProcessUse[];
}
