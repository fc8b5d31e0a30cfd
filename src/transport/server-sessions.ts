import type { ServerAddress } from '../protocol/index.js';
import { cancelled } from './network-failure.js';
import type { Session } from './session.js';
import { SharedDial } from './shared-dial.js';

/** What a pool needs. */
export interface SessionPoolOptions {
  /** Opens a session; each call makes a new one. */
  readonly open: (server: ServerAddress, signal: AbortSignal) => Promise<Session>;
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

/** The sessions with one relay. */
export class ServerSessions {
  readonly #server: ServerAddress;
  readonly #options: SessionPoolOptions;
  readonly #slots = new Set<Slot>();
  /** Uploads that wait for a slot, first come, first served. */
  readonly #waiting: (() => void)[] = [];

  constructor(server: ServerAddress, options: SessionPoolOptions) {
    this.#server = server;
    this.#options = options;
  }

  /** Runs `work` on a session without another upload. */
  async upload<T>(work: (session: Session) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const slot = await this.#claim(signal);
    try {
      return await this.#run(slot, work, signal);
    } catch (error) {
      slot.session?.retire();
      throw error;
    } finally {
      slot.uploading = false;
      this.#waiting.shift()?.();
    }
  }

  /** Runs `work` on the session with the fewest users. */
  share<T>(work: (session: Session) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const slots = this.#usableSlots().sort((a, b) => a.users - b.users);
    const slot = slots.find(({ session }) => session !== undefined) ?? slots[0] ?? this.#openSlot();
    return this.#run(slot, work, signal);
  }

  /** Closes everything. */
  close(): void {
    for (const slot of this.#slots) {
      slot.dial.stop();
      this.#forget(slot);
      slot.session?.close();
    }
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async #run<T>(slot: Slot, work: (session: Session) => Promise<T>, signal?: AbortSignal): Promise<T> {
    slot.users += 1;
    clearTimeout(slot.idleTimer);
    try {
      return await work(await slot.dial.join(signal));
    } finally {
      slot.users -= 1;
      if (slot.users === 0) this.#startIdleTimer(slot);
    }
  }

  async #claim(signal?: AbortSignal): Promise<Slot> {
    for (;;) {
      const free = this.#usableSlots().filter(({ uploading }) => !uploading);
      const slot =
        free.find(({ session }) => session !== undefined) ??
        free[0] ??
        (this.#slots.size < this.#options.sessionsPerServer ? this.#openSlot() : undefined);
      if (slot !== undefined) {
        slot.uploading = true;
        return slot;
      }
      await this.#turn(signal);
    }
  }

  /** Resolves when it is worth looking for a slot again. */
  #turn(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const wake = (): void => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(wake), 1);
        reject(cancelled());
      };
      this.#waiting.push(wake);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  #usableSlots(): Slot[] {
    return [...this.#slots].filter(({ dial, session }) => session?.usable ?? !dial.stopped);
  }

  #openSlot(): Slot {
    const dial = new SharedDial((signal) => this.#options.open(this.#server, signal));
    const slot: Slot = { dial, uploading: false, users: 0 };
    this.#slots.add(slot);
    dial.outcome.then(
      (session) => {
        slot.session = session;
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

  /** The session has ended, so another one may take its place: a waiting upload is told. */
  #forget(slot: Slot): void {
    clearTimeout(slot.idleTimer);
    if (this.#slots.delete(slot)) this.#waiting.shift()?.();
  }

  #startIdleTimer(slot: Slot): void {
    slot.idleTimer = setTimeout(() => {
      slot.session?.retire();
    }, this.#options.idleMs).unref();
  }
}
