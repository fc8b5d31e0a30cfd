import type { ServerHttp2Session } from 'node:http2';

import { FRAME_WINDOW_MS, MAX_IDLE_FRAMES } from './limits.js';

/** Counts the frames of a connection that ask for work without being a request. */
export class FrameGuard {
  readonly #flooded: () => void;
  #since = performance.now();
  #count = 0;

  /** @param flooded told when there are too many at once */
  constructor(session: ServerHttp2Session, flooded: () => void) {
    this.#flooded = flooded;
    const count = (): void => {
      this.count();
    };
    session.on('ping', count);
    session.on('remoteSettings', count);
  }

  /** One more, such as the reset of a stream. */
  count(): void {
    const now = performance.now();
    if (now - this.#since > FRAME_WINDOW_MS) {
      this.#since = now;
      this.#count = 0;
    }
    this.#count += 1;
    if (this.#count > MAX_IDLE_FRAMES) this.#flooded();
  }
}
