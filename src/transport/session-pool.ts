import { formatServerAddress, type ServerAddress } from '../protocol/index.js';
import { cancelled, throwIfAborted } from './network-failure.js';
import { ServerSessions, type SessionPoolOptions } from './server-sessions.js';
import type { Session } from './session.js';

/**
 * How a session is used: an `upload` has it to itself as far as uploads go (official relays stand still with several
 * on one connection: protocol reference, section 2.5); everything else shares. `before-upload` shares too, and an upload
 * follows it: a session for that is opened meanwhile, which takes four round trips.
 */
export type SessionUse = 'upload' | 'before-upload' | 'shared';

/** Enough to fill a fast link with uploads (protocol reference, section 2.5), few enough to be polite. */
export const DEFAULT_SESSIONS_PER_SERVER = 4;
/** Long enough to bridge the pauses within a transfer, short enough not to hold relays' sockets for nothing. */
export const DEFAULT_IDLE_MS = 60_000;

/** For whom, and how long. */
export interface UseOptions {
  readonly signal?: AbortSignal;
  /** Isolation unit: sessions are shared only by uses with the same one. One for all unless given. */
  readonly unit?: string;
}

/** Sessions shared by everyone in the process who talks to the same relays within the same isolation unit. */
export class SessionPool {
  readonly #options: SessionPoolOptions;
  /** By server and unit. */
  readonly #sessions = new Map<string, ServerSessions>();
  #closed = false;

  constructor(options: SessionPoolOptions) {
    this.#options = options;
  }

  /**
   * Runs `work` on a session with `server`: one that is open, one whose dial is under way, or a new one.
   * A session on which an upload failed is dropped afterwards.
   *
   * @throws XftpError of the dial or of `work`; CANCELLED when `signal` aborts while waiting
   */
  async use<T>(
    server: ServerAddress,
    use: SessionUse,
    work: (session: Session) => Promise<T>,
    { signal, unit = '' }: UseOptions = {},
  ): Promise<T> {
    throwIfAborted(signal);
    if (this.#closed) throw cancelled();
    const sessions = this.#sessionsOf(server, unit);
    switch (use) {
      case 'upload':
        return sessions.upload(work, signal);
      case 'before-upload':
        return sessions.shareBeforeUpload(work, signal);
      case 'shared':
        return sessions.share(work, signal);
    }
  }

  /** Closes all sessions at once; requests under way fail, and dials under way are stopped. */
  close(): void {
    this.#closed = true;
    for (const sessions of this.#sessions.values()) sessions.close();
    this.#sessions.clear();
  }

  /** Ends all sessions and dials, so that the next ones go the way that relays are reached now. Uses under way fail. */
  reset(): void {
    for (const sessions of [...this.#sessions.values()]) sessions.reset();
  }

  #sessionsOf(server: ServerAddress, unit: string): ServerSessions {
    const key = `${formatServerAddress(server)} ${unit}`;
    const existing = this.#sessions.get(key);
    if (existing !== undefined) return existing;
    const sessions = new ServerSessions(server, {
      ...this.#options,
      // Units come and go with the files and chunks that they are made for.
      onUnused: () => {
        if (this.#sessions.get(key) === sessions) this.#sessions.delete(key);
      },
    });
    this.#sessions.set(key, sessions);
    return sessions;
  }
}
