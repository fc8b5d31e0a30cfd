import { randomInt } from 'node:crypto';

import { XftpError } from '../protocol/index.js';
import { cancelled, throwIfAborted } from '../transport/index.js';
import type { Clock } from './clock.js';
import { asError } from './error-report.js';

/** How long a gate stays closed. */
export interface GatePauses {
  /** After the first failure, in ms. It doubles from failure to failure. */
  readonly firstMs: number;
  /** Longest pause, in ms: a relay that is back is found within so long. */
  readonly longestMs: number;
}

export const DEFAULT_GATE_PAUSES: GatePauses = { firstMs: 1000, longestMs: 5 * 60_000 };

/** How long to wait after so many failures, in ms: partly at random, so that not everybody comes back at once. */
export function pauseAfter(failures: number, { firstMs, longestMs }: GatePauses): number {
  const longest = Math.min(longestMs, firstMs * 2 ** (failures - 1));
  return longest / 2 + randomInt(Math.ceil(longest / 2));
}

/** Somebody before a gate. */
interface Waiter {
  readonly wake: () => void;
  /** Asked after each failure. */
  readonly givesUp: () => boolean;
  readonly giveUp: () => void;
  /** Ends its wait with an error of its own. */
  readonly fail: (error: Error) => void;
}

/** How somebody waits at a gate. */
export interface WaitOptions {
  /** Called when it has to wait, with what closed the gate; nothing if it is shut for want of a network. */
  readonly onWait?: (reason?: XftpError) => void;
  /** Asked each time the server has failed while it waits: true ends the wait with CONNECT_FAILED. */
  readonly givesUp?: () => boolean;
}

interface Gate {
  failures: number;
  /** Monotonic time from which a probe may pass. */
  opensAt: number;
  probing: boolean;
  readonly waiting: Set<Waiter>;
  /** The failure that closed it last. */
  reason?: XftpError;
  timer?: NodeJS.Timeout;
}

/** How a gate stands. */
export interface GateStatus {
  readonly gate: 'open' | 'closed' | 'probing';
  /** Milliseconds until the next probe. */
  readonly inMs?: number;
  readonly failures: number;
  /** What closed it last. */
  readonly reason?: XftpError;
}

/** What the one who passed a gate tells it afterwards. */
export interface Passage {
  /** Whether the server has failed before: whoever passes now finds out how it is. */
  readonly isProbe: boolean;
  /** Whether it still holds: the gate has not closed for those who are not its probe. */
  readonly holds: () => boolean;
  /** The server answers: the gate opens for all, although the step goes on. */
  readonly reached: () => void;
  /** The server did its part: the gate opens for all. */
  readonly succeeded: () => void;
  /** The server could not be reached or could not do it: the gate closes for longer than before. */
  readonly failed: (reason?: XftpError) => void;
  /** Neither: the step was stopped, or failed for another reason. */
  readonly left: () => void;
}

/**
 * One gate for each server, shared by all jobs. After a failure it closes for a while; then one job alone probes the
 * server, and the others follow when that succeeds. So a dead relay gets one probe at a time, however many jobs wait.
 */
export class ServerGates {
  readonly #clock: Clock;
  readonly #onChange: (server: string) => void;
  readonly #pauses: GatePauses;
  readonly #gates = new Map<string, Gate>();
  #shut = false;

  /** @param onChange told when a gate opens or closes */
  constructor(clock: Clock, onChange: (server: string) => void, pauses = DEFAULT_GATE_PAUSES) {
    this.#clock = clock;
    this.#onChange = onChange;
    this.#pauses = pauses;
  }

  /** Whether a job could go through at once. */
  isOpen(server: string): boolean {
    return !this.#shut && (this.#gates.get(server)?.failures ?? 0) === 0;
  }

  status(server: string): GateStatus {
    const gate = this.#gates.get(server);
    if (gate === undefined || gate.failures === 0) return { gate: 'open', failures: 0 };
    const { failures, reason } = gate;
    const why = reason === undefined ? {} : { reason };
    if (gate.probing) return { gate: 'probing', failures, ...why };
    return { gate: 'closed', inMs: Math.max(0, gate.opensAt - this.#clock.monotonic()), failures, ...why };
  }

  /**
   * Waits until the server may be asked. Exactly one method of the passage must be called afterwards.
   *
   * @param options how it waits, when it has to
   * @throws XftpError CANCELLED, or CONNECT_FAILED when the wait was given up
   */
  async pass(
    server: string,
    signal: AbortSignal,
    { onWait, givesUp = () => false }: WaitOptions = {},
  ): Promise<Passage> {
    throwIfAborted(signal);
    let waited = false;
    while (!this.#mayPass(server)) {
      if (!waited) onWait?.(this.#shut ? undefined : this.#gates.get(server)?.reason);
      waited = true;
      await this.#wait(server, signal, givesUp);
    }
    const gate = this.#gate(server);
    const isProbe = gate.failures > 0;
    if (isProbe) gate.probing = true;
    return this.#passage(server, gate, isProbe);
  }

  /** Opens all gates for a try at once: the network has changed. */
  retryAll(): void {
    for (const server of this.#gates.keys()) this.retry(server);
  }

  /** Opens the gate of a server for a try at once. */
  retry(server: string): void {
    const gate = this.#gates.get(server);
    if (gate === undefined || gate.failures === 0) return;
    gate.failures = 1;
    gate.opensAt = this.#clock.monotonic();
    this.#wake(gate);
    this.#onChange(server);
  }

  /** Shuts everything (there is no network), or lets it go on. */
  setShut(shut: boolean): void {
    if (this.#shut === shut) return;
    this.#shut = shut;
    if (shut) return;
    this.retryAll();
    for (const gate of this.#gates.values()) this.#wake(gate);
  }

  /** Ends all timers. */
  close(): void {
    for (const gate of this.#gates.values()) clearTimeout(gate.timer);
  }

  #mayPass(server: string): boolean {
    if (this.#shut) return false;
    const gate = this.#gates.get(server);
    if (gate === undefined || gate.failures === 0) return true;
    return !gate.probing && gate.opensAt <= this.#clock.monotonic();
  }

  #passage(server: string, gate: Gate, isProbe: boolean): Passage {
    let told = false;
    const open = (): void => {
      if (gate.failures === 0) return;
      gate.failures = 0;
      delete gate.reason;
      this.#onChange(server);
    };
    let probing = isProbe;
    const tell = (outcome: () => void): void => {
      if (told) return;
      told = true;
      if (probing) gate.probing = false;
      try {
        outcome();
      } finally {
        // Nobody else would look after those who wait.
        this.#wake(gate);
      }
    };
    return {
      isProbe,
      holds: () => isProbe || (gate.failures === 0 && !this.#shut),
      reached: () => {
        if (told) return;
        if (probing) gate.probing = false;
        probing = false;
        open();
        this.#wake(gate);
      },
      succeeded: () => {
        tell(open);
      },
      failed: (reason) => {
        tell(() => {
          // Jobs that were under way when the gate closed tell nothing new.
          if (probing || gate.failures === 0) this.#close(server, gate, reason);
        });
      },
      left: () => {
        tell(() => undefined);
      },
    };
  }

  #close(server: string, gate: Gate, reason: XftpError | undefined): void {
    gate.failures += 1;
    if (reason !== undefined) gate.reason = reason;
    gate.opensAt = this.#clock.monotonic() + pauseAfter(gate.failures, this.#pauses);
    this.#onChange(server);
    for (const waiter of [...gate.waiting])
      try {
        if (waiter.givesUp()) waiter.giveUp();
      } catch (error) {
        waiter.fail(asError(error));
      }
  }

  async #wait(server: string, signal: AbortSignal, givesUp: () => boolean): Promise<void> {
    const gate = this.#gate(server);
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        gate.waiting.delete(waiter);
        signal.removeEventListener('abort', onAbort);
      };
      const onAbort = (): void => {
        leave();
        reject(cancelled());
      };
      const waiter: Waiter = {
        wake: () => {
          leave();
          resolve();
        },
        givesUp,
        giveUp: () => {
          leave();
          const { reason: cause } = gate;
          const why = cause === undefined ? '.' : `: ${cause.message}`;
          reject(new XftpError('CONNECT_FAILED', `${server} failed again and again${why}`, { cause }));
        },
        fail: (error) => {
          leave();
          reject(error);
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      gate.waiting.add(waiter);
      this.#schedule(gate);
    });
  }

  /** Wakes those who wait: one for a probe, all when the gate is open. The set keeps their order. */
  #wake(gate: Gate): void {
    if (this.#shut) return;
    if (gate.failures === 0) for (const { wake } of [...gate.waiting]) wake();
    else this.#schedule(gate);
  }

  #schedule(gate: Gate): void {
    clearTimeout(gate.timer);
    if (this.#shut || gate.probing || gate.waiting.size === 0) return;
    const ms = Math.max(0, gate.opensAt - this.#clock.monotonic());
    gate.timer = setTimeout(() => {
      // Timers come up to a millisecond early, and the gates may be shut now: nobody loses its place in the line.
      if (this.#shut || gate.opensAt > this.#clock.monotonic()) {
        this.#schedule(gate);
        return;
      }
      const [first] = gate.waiting;
      first?.wake();
    }, ms);
  }

  #gate(server: string): Gate {
    let gate = this.#gates.get(server);
    if (gate === undefined) {
      gate = { failures: 0, opensAt: 0, probing: false, waiting: new Set() };
      this.#gates.set(server, gate);
    }
    return gate;
  }
}
