import { randomBytes } from '../crypto/index.js';
import { isXftpError, type ServerAddress, XftpError } from '../protocol/index.js';
import { cancelled } from './network-failure.js';
import type { Session } from './session.js';
import { SharedDial } from './shared-dial.js';
import type { SocksCredentials } from './socks-proxy.js';

/** What a pool needs. */
export interface SessionPoolOptions {
  /** Opens a session; each call makes a new one. A proxy is told the credentials. */
  readonly open: (
    server: ServerAddress,
    signal: AbortSignal,
    credentials: SocksCredentials,
  ) => Promise<Session>;
  /** Most sessions with one relay. */
  readonly sessionsPerServer: number;
  /** A session without requests for so long is closed, in milliseconds. */
  readonly idleMs: number;
}

/** One place in the pool: a session or the dial that makes it. */
interface Slot {
  readonly dial: SharedDial<Session>;
  /** Set when the dial has succeeded. */
  session?: Session;
  /** Whether an upload has claimed it. */
  uploading: boolean;
  /** Users at the moment, uploads included. */
  users: number;
  idleTimer?: NodeJS.Timeout;
}

/** Someone who needs a slot. Exactly one of `start` and `cancel` is called. */
interface Waiter {
  /** A slot that can be used now, opened if there is room for it. */
  readonly find: () => Slot | undefined;
  readonly start: (slot: Slot) => void;
  readonly cancel: () => void;
}

/** What the sessions with one relay need. */
export interface ServerSessionsOptions extends SessionPoolOptions {
  /** Called when there is neither a session nor somebody who wants one, which may be more than once. */
  readonly onUnused: () => void;
}

/** The sessions with one relay within one isolation unit. */
export class ServerSessions {
  readonly #server: ServerAddress;
  readonly #options: ServerSessionsOptions;
  readonly #slots = new Set<Slot>();
  /** In the order of their coming, which is kept among uploads. */
  readonly #waiters = new Set<Waiter>();
  /** Random, so that they tell nothing but that connections belong together. */
  #credentials = freshCredentials();
  /** Uploads that will come soon. */
  #expected = 0;
  #closed = false;

  constructor(server: ServerAddress, options: ServerSessionsOptions) {
    this.#server = server;
    this.#options = options;
  }

  /** Runs `work` on a session without another upload. */
  upload<T>(work: (session: Session) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const start = async (slot: Slot): Promise<T> => {
      slot.uploading = true;
      try {
        return await this.#run(slot, work, signal);
      } catch (error) {
        slot.session?.abandon();
        throw error;
      } finally {
        slot.uploading = false;
        this.#serve();
      }
    };
    return this.#wait(() => this.#uploadSlot(), start, signal);
  }

  /** Runs `work` on the session with the fewest users. */
  share<T>(work: (session: Session) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#wait(
      () => this.#sharedSlot(),
      (slot) => this.#run(slot, work, signal),
      signal,
    );
  }

  /** The same before an upload, for which a session is opened meanwhile if there is none to spare. */
  async shareBeforeUpload<T>(work: (session: Session) => Promise<T>, signal?: AbortSignal): Promise<T> {
    this.#expected += 1;
    this.#openAhead();
    try {
      return await this.share(work, signal);
    } finally {
      this.#expected -= 1;
    }
  }

  /** Closes everything; those who wait are cancelled. */
  close(): void {
    this.#closed = true;
    for (const slot of this.#slots) {
      slot.dial.stop();
      slot.session?.close();
    }
    for (const waiter of this.#waiters) waiter.cancel();
  }

  /** Ends the sessions and dials there are: what runs on them fails. Those who wait get new ones. */
  reset(): void {
    this.#credentials = freshCredentials();
    for (const slot of this.#slots) {
      slot.dial.fail(new XftpError('CONNECTION_LOST', 'The way to the relays has changed.'));
      slot.session?.close();
    }
  }

  /** Waits for a slot and starts on it in the same turn, so that nobody can take it away in between. */
  #wait<T>(
    find: () => Slot | undefined,
    start: (slot: Slot) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiters.delete(waiter);
        signal?.removeEventListener('abort', cancel);
      };
      const cancel = (): void => {
        leave();
        reject(cancelled());
      };
      const waiter: Waiter = {
        find,
        start: (slot) => {
          leave();
          start(slot).then(resolve, reject);
        },
        cancel,
      };
      signal?.addEventListener('abort', cancel, { once: true });
      this.#waiters.add(waiter);
      this.#serve();
    });
  }

  /** Gives slots to those who can use one now. */
  #serve(): void {
    if (this.#closed) return;
    for (const waiter of this.#waiters) {
      const slot = waiter.find();
      if (slot !== undefined) waiter.start(slot);
    }
  }

  async #run<T>(slot: Slot, work: (session: Session) => Promise<T>, signal?: AbortSignal): Promise<T> {
    slot.users += 1;
    clearTimeout(slot.idleTimer);
    try {
      return await work(await slot.dial.join(signal));
    } catch (error) {
      // The next session is to take another way: what held this one up may be a bad circuit.
      if (isXftpError(error) && error.temporary) this.#credentials = freshCredentials();
      throw error;
    } finally {
      slot.users -= 1;
      if (slot.users === 0 && this.#slots.has(slot)) this.#startIdleTimer(slot);
    }
  }

  #uploadSlot(): Slot | undefined {
    return this.#pick(this.#usableSlots().filter(({ uploading }) => !uploading));
  }

  /**
   * One without an upload if there is or can be one: should the upload fail, the relay may never answer the others on
   * its connection.
   */
  #sharedSlot(): Slot | undefined {
    const slots = this.#usableSlots();
    return this.#pick(slots.filter(({ uploading }) => !uploading)) ?? this.#pick(slots);
  }

  /**
   * The open session with the fewest users, or else the one whose dial has been under way longest, or else a new one if
   * there may be one more.
   */
  #pick(candidates: readonly Slot[]): Slot | undefined {
    const open = candidates.filter(({ session }) => session !== undefined);
    const found = open.sort((a, b) => a.users - b.users)[0] ?? candidates[0];
    if (found !== undefined) return found;
    return this.#slots.size < this.#options.sessionsPerServer ? this.#openSlot() : undefined;
  }

  #usableSlots(): Slot[] {
    return [...this.#slots].filter(({ dial, session }) => session?.usable ?? !dial.stopped);
  }

  /** As many sessions as there are uploads and will be, as far as there may be so many. */
  #openAhead(): void {
    const uploads = [...this.#slots].filter(({ uploading }) => uploading).length;
    const wanted = Math.min(this.#expected + uploads, this.#options.sessionsPerServer);
    while (this.#slots.size < wanted) this.#openSlot();
  }

  #openSlot(): Slot {
    const dial = new SharedDial((signal) => this.#options.open(this.#server, signal, this.#credentials));
    const slot: Slot = { dial, uploading: false, users: 0 };
    this.#slots.add(slot);
    dial.outcome.then(
      (session) => {
        slot.session = session;
        if (this.#closed) session.close();
        if (slot.users === 0) this.#startIdleTimer(slot);
        void session.closed.then(() => {
          this.#forget(slot);
        });
      },
      () => {
        this.#forget(slot);
      },
    );
    return slot;
  }

  /** The session has ended, so another one may take its place. */
  #forget(slot: Slot): void {
    clearTimeout(slot.idleTimer);
    if (this.#slots.delete(slot)) this.#serve();
    if (this.#slots.size === 0 && this.#waiters.size === 0) this.#options.onUnused();
  }

  #startIdleTimer(slot: Slot): void {
    slot.idleTimer = setTimeout(() => {
      slot.session?.retire();
    }, this.#options.idleMs).unref();
  }
}

function freshCredentials(): SocksCredentials {
  return { user: randomHex(), password: randomHex() };
}

function randomHex(): string {
  return Buffer.from(randomBytes(16)).toString('hex');
}
