import type { RelayClient } from '../client/index.js';
import { isXftpError, type ServerAddress, XftpError } from '../protocol/index.js';
import { isCut } from '../transfer/index.js';
import { cancelled, throwIfAborted } from '../transport/index.js';
import type { Clock } from './clock.js';
import { consequenceOf } from './failure-policy.js';
import type { Isolation, ServerAction } from './model.js';
import type { NetworkMonitor } from './network-monitor.js';
import type { Crossing, Direction } from './path-width.js';
import type { Passage, ServerGates } from './server-gates.js';
import { serverKey, type ServerStore } from './server-store.js';
import type { Step, StepPauses } from './step-pauses.js';
import type { Turn, WorkQueue } from './work-queue.js';

/** A request to a server, and whose turn it is. */
export interface Ask {
  readonly server: ServerAddress;
  readonly action: ServerAction;
  /** Bytes that count as moved when it works. */
  readonly bytes?: number;
  readonly turn: Turn;
  /** With whom it shares connections, and how little if that is less than the setting says; as its turn's owner unless given. */
  readonly sharing?: { readonly owner: string; readonly isolation: Isolation | null };
  /** Number of the chunk that it is about, if it is about one. */
  readonly chunk?: number;
  readonly signal: AbortSignal;
  /**
   * Called when it has to wait at a closed gate, with what closed it if that is known; what it returns is called, once
   * or more, when it goes on.
   */
  readonly onBlocked?: (reason?: XftpError) => () => void;
  /** Asked each time the server has failed while it waits at the gate: true ends it with CONNECT_FAILED. */
  readonly givesUp?: () => boolean;
  /** Asked when its turn has come: true ends it with CONNECT_FAILED, since it is not wanted this way any more. */
  readonly isOutdated?: () => boolean;
  /** Told when the way broke or stood still after `moved` bytes; `alone`: with no other chunk on it since it broke before. */
  readonly onCut?: (cut: { readonly moved: number; readonly alone: boolean }) => void;
}

/** Asks for something; `moving` is told the bytes of a chunk that have moved so far. */
export type Request<T> = (client: RelayClient, moving: (bytes: number) => void) => Promise<T>;

/** Which way the bytes of a request go. */
const DIRECTIONS: Partial<Readonly<Record<ServerAction, Direction>>> = { upload: 'up', download: 'down' };

/** What the relays are asked with. */
export interface RelayAccessOptions {
  readonly client: RelayClient;
  readonly gates: ServerGates;
  readonly steps: StepPauses;
  readonly queue: WorkQueue;
  readonly servers: ServerStore;
  readonly network: NetworkMonitor;
  readonly clock: Clock;
  /** What shares connections with the requests of an owner, who is no transfer if there is `own`. */
  readonly isolation: (owner: string, own?: Isolation | null) => Isolation;
}

/** The way to relays for everything that the agent does: behind gates and in turn, and every outcome is counted. */
export class RelayAccess {
  readonly #options: RelayAccessOptions;

  constructor(options: RelayAccessOptions) {
    this.#options = options;
  }

  /**
   * Asks a relay when its gate is open and the job's turn has come.
   *
   * @param request several commands may belong together
   * @throws XftpError of the request; CANCELLED
   */
  async ask<T>(ask: Ask, request: Request<T>): Promise<T> {
    const key = serverKey(ask.server);
    await this.#options.steps.wait(stepOf(ask), ask.signal, (reason) => ask.onBlocked?.(reason) ?? ignore);
    for (;;) {
      const { passage, goOn } = await this.#pass(key, ask);
      try {
        // Who probes goes on only when the server is there.
        if (!passage.isProbe) goOn();
        const outcome = await this.#inTurn(key, ask, async (setOut) => {
          // The gate may have closed while this job waited for its turn.
          if (!passage.holds()) return { again: true } as const;
          if (ask.isOutdated?.() === true)
            throw new XftpError('CONNECT_FAILED', 'The chunk is not sent to this relay any more.');
          const asked = async (client: RelayClient): Promise<T> => {
            if (passage.isProbe) {
              await client.reach(ask.server, { signal: ask.signal });
              passage.reached();
            }
            goOn();
            return setOut === undefined
              ? await request(client, () => undefined)
              : await crossed(setOut(), ask, (moving) => request(client, moving));
          };
          return { again: false, value: await this.#counted(key, ask, passage, asked) } as const;
        });
        if (!outcome.again) return outcome.value;
      } finally {
        goOn();
        passage.left();
      }
      throwIfAborted(ask.signal);
    }
  }

  /** Runs a job when its turn has come; one that moves a chunk is given the start of its crossing. */
  #inTurn<T>(
    server: string,
    { action, signal, turn }: Ask,
    work: (setOut?: () => Crossing) => Promise<T>,
  ): Promise<T> {
    const { queue } = this.#options;
    const direction = DIRECTIONS[action];
    return direction === undefined
      ? queue.run(server, turn, signal, () => work())
      : queue.cross({ server, direction }, turn, signal, work);
  }

  /** A request that failed for good, as it seems, is made again: after a pause that grows each time. */
  postpone(ask: Ask, reason: XftpError): void {
    this.#options.steps.failed(stepOf(ask), reason);
  }

  /** Tries again at once whatever waits because it failed: the way there is another one. */
  retryAll(): void {
    this.#options.gates.retryAll();
    this.#options.steps.retry();
  }

  /** The list of servers has changed: who waits for one that fails goes to another one, if there is one now. */
  serversChanged(): void {
    this.#options.gates.reconsider();
    this.#options.steps.retry();
  }

  /** Tries again at once whatever waits because this server failed: it is known to work again. */
  retryServer(server: ServerAddress): void {
    const key = serverKey(server);
    this.#options.gates.retry(key);
    this.#options.steps.retry({ server: key });
  }

  /** Tries again at once what failed for a transfer: its user says so. Servers that cannot be reached stay closed. */
  retryOwner(owner: string): void {
    this.#options.steps.retry({ owner });
  }

  /** How many chunks the way to a server takes at once, at least 1. */
  widthOf(server: ServerAddress, direction: Direction): number {
    return this.#options.queue.widthOf({ server: serverKey(server), direction });
  }

  /** Changes when the waiting requests of an owner come. */
  setPriority(turn: Turn): void {
    this.#options.queue.setPriority(turn);
  }

  /** Waits at the gate; gives the way through and what ends the wait. */
  async #pass(
    key: string,
    { signal, onBlocked, givesUp }: Ask,
  ): Promise<{ readonly passage: Passage; readonly goOn: () => void }> {
    let goOn = (): void => undefined;
    const told = { waits: false };
    let passage: Passage | undefined;
    try {
      passage = await this.#options.gates.pass(key, signal, {
        onWait: (reason) => {
          told.waits = true;
          goOn = onBlocked?.(reason) ?? goOn;
        },
        ...(givesUp === undefined ? {} : { givesUp }),
      });
      // Whoever looks whether a failing server is back waits for it, also if it need not wait for its turn.
      if (passage.isProbe && !told.waits) goOn = onBlocked?.(this.#options.gates.status(key).reason) ?? goOn;
      return { passage, goOn };
    } catch (error) {
      goOn();
      // Who cannot be told that it waits leaves the way to the next one.
      passage?.left();
      throw error;
    }
  }

  async #counted<T>(
    key: string,
    ask: Ask,
    passage: Passage,
    request: (client: RelayClient) => Promise<T>,
  ): Promise<T> {
    const { client, clock, isolation, network, servers, steps } = this.#options;
    const start = clock.monotonic();
    try {
      const value = await request(client.isolated(unitOf(ask, isolation)));
      servers.recordSuccess(key, ask.action, { bytes: ask.bytes ?? 0, ms: clock.monotonic() - start });
      network.succeeded();
      passage.succeeded();
      steps.succeeded(stepOf(ask));
      return value;
    } catch (error) {
      if (ask.signal.aborted) throw cancelled();
      if (isXftpError(error)) this.#judge(key, ask, passage, error);
      throw error;
    }
  }

  #judge(key: string, ask: Ask, passage: Passage, error: XftpError): void {
    const { network, servers, steps } = this.#options;
    switch (consequenceOf(error)) {
      case 'retry':
        servers.recordFailure(key, ask.action, error.kind);
        network.failed(error);
        passage.failed(error);
        // It was there. Whether it can be reached at all is the gate's concern.
        if (isCut(error) || error.wire !== undefined) steps.failed(stepOf(ask), error);
        return;
      case 'other-server':
      case 'other-replica':
      case 'again':
        servers.recordFailure(key, ask.action, error.kind);
        // Nobody was asked.
        if (error.code === 'TOR_REQUIRED') return;
        // The relay answered: it can be reached.
        network.succeeded();
        passage.succeeded();
        return;
      case 'distrust':
        servers.recordFailure(key, ask.action, error.kind);
        return;
      case 'fail':
      case 'wait-for-disk':
      case 'wait-for-database':
      case 'stop':
        return;
    }
  }
}

/** Moves a chunk, and tells what became of it. */
async function crossed<T>(
  crossing: Crossing,
  { bytes = 0, onCut, signal }: Ask,
  move: (moving: (bytes: number) => void) => Promise<T>,
): Promise<T> {
  let moved = 0;
  try {
    const value = await move((soFar) => {
      moved = soFar;
    });
    crossing.arrived(bytes);
    return value;
  } catch (error) {
    // Who has the whole and says nothing would do so with a smaller chunk, too.
    const isSilent = isXftpError(error, 'STALLED') && moved >= bytes;
    if (isXftpError(error) && isCut(error) && moved > 0 && !isSilent && !signal.aborted) {
      const alone = crossing.isAlone();
      crossing.lost();
      onCut?.({ moved, alone });
    }
    throw error;
  }
}

/** A chunk that fails does not hold up the others. */
function stepOf({ server, action, turn, chunk }: Ask): Step {
  return { owner: turn.owner, server: serverKey(server), name: [action, chunk].join(' ') };
}

function ignore(): void {
  // Nobody was told that it waits.
}

/** Who shares a connection with this request. */
function unitOf({ turn, sharing, chunk }: Ask, isolation: RelayAccessOptions['isolation']): string {
  const owner = sharing?.owner ?? turn.owner;
  switch (isolation(owner, sharing?.isolation)) {
    case 'server':
      return '';
    case 'transfer':
      return owner;
    case 'chunk':
      return `${owner} ${String(chunk ?? '')}`;
  }
}
