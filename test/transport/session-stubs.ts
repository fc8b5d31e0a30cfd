import { parseServerAddress } from '#src/protocol/index.js';
import { type Session, SessionPool, type SessionPoolOptions, type SessionUse } from '#src/transport/index.js';
import { type Deferred, deferred } from './channel-samples.js';

export const SERVER = parseServerAddress('xftp://AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=@relay.example');
export const OTHER_SERVER = parseServerAddress(
  'xftp://AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=@other.example',
);

/** A session without a connection: what the pool sees of one. */
export class StubSession {
  readonly number: number;
  readonly closed: Promise<void>;
  readonly #end: Deferred<void> = deferred();
  usable = true;
  ended = false;
  /** Requests under way, uploads among them. */
  active = 0;
  uploads = 0;

  constructor(number: number) {
    this.number = number;
    this.closed = this.#end.promise;
  }

  retire(): void {
    this.usable = false;
    if (this.active === 0) this.close();
  }

  abandon(): void {
    this.retire();
  }

  /** Ends the session at once. */
  close(): void {
    this.usable = false;
    this.ended = true;
    this.#end.resolve();
  }

  /** As a request on a session does: it counts, and a retired session ends with its last one. */
  async request<T>(use: SessionUse, work: () => Promise<T>): Promise<T> {
    this.active += 1;
    if (use === 'upload') this.uploads += 1;
    try {
      return await work();
    } finally {
      if (use === 'upload') this.uploads -= 1;
      this.active -= 1;
      if (this.active === 0 && !this.usable) this.close();
    }
  }
}

/** What stands behind a session that came out of a pool of stubs. */
export function stubOf(session: Session): StubSession {
  // The pools of these tests open nothing but stubs.
  return session as unknown as StubSession;
}

/** A pool of stubs. */
export interface StubPool {
  readonly pool: SessionPool;
  /** All sessions ever opened. */
  readonly sessions: readonly StubSession[];
  /** Dials so far, those that failed too. */
  readonly dials: () => number;
  /** What a proxy would have been told at each dial, as one text. */
  readonly credentials: readonly string[];
  /** Sessions that have not ended. */
  readonly open: () => StubSession[];
}

/** Opens stubs; `dial` may take its time or fail. */
export function stubPool(
  options: Partial<Omit<SessionPoolOptions, 'open'>> = {},
  dial: (signal: AbortSignal, number: number) => Promise<void> = () => Promise.resolve(),
): StubPool {
  const sessions: StubSession[] = [];
  const told: string[] = [];
  let dials = 0;
  const pool = new SessionPool({
    sessionsPerServer: 1,
    idleMs: 1000,
    ...options,
    open: async (_, signal, { user, password }) => {
      dials += 1;
      told.push(`${user} ${password}`);
      await dial(signal, dials);
      const session = new StubSession(sessions.length + 1);
      sessions.push(session);
      // The pool calls only the members that a stub has.
      return session as unknown as Session;
    },
  });
  return {
    pool,
    sessions,
    credentials: told,
    dials: () => dials,
    open: () => sessions.filter(({ ended }) => !ended),
  };
}

/** A use of the pool that lasts until the test ends it. */
export interface Use {
  readonly outcome: Promise<number>;
  /** Number of its session, when it has one. */
  readonly started: Promise<number>;
  readonly end: Deferred<void>;
}

/** Begins a use. */
export function begin({ pool }: StubPool, use: SessionUse, signal?: AbortSignal, server = SERVER): Use {
  const end = deferred();
  const started = deferred<number>();
  const outcome = pool.use(
    server,
    use,
    (session) => {
      const stub = stubOf(session);
      started.resolve(stub.number);
      return stub.request(use, async () => {
        await end.promise;
        return stub.number;
      });
    },
    signal === undefined ? {} : { signal },
  );
  outcome.catch(() => undefined);
  return { outcome, started: started.promise, end };
}

/** Lets everything happen that waits for nothing but promises. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}
