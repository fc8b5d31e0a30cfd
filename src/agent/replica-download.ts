import type { RelayClient } from '../client/index.js';
import { isXftpError, parseServerAddress, type XftpError } from '../protocol/index.js';
import { consequenceOf, MAX_WRONG_DOWNLOADS } from './failure-policy.js';
import type { Candidate, ReplicaChoice } from './replica-choice.js';
import { type Racer, ReplicaRace } from './replica-race.js';
import type { Run } from './run.js';

/** What is downloaded from one of several replicas. */
export interface ReplicaDownload<R extends Candidate> {
  readonly run: Run;
  readonly choice: ReplicaChoice;
  readonly signal: AbortSignal;
  /** How many it has. */
  readonly bytes: number;
  /** Number of the chunk that it is, if it is one. */
  readonly chunk?: number;
  /** Those that are not given up. */
  readonly replicas: () => readonly R[];
  /** Downloads it once, and gives it to `finish`. */
  readonly download: (replica: R, attempt: DownloadAttempt) => Promise<void>;
  /** The replica is bad. */
  readonly giveUp: (replica: R) => void;
  /** The relay is not who it should be: all its replicas are bad, and clients are told. */
  readonly distrust: (replica: R, reason: XftpError) => void;
  /** The failure when no replica is left. */
  readonly noneLeft: () => XftpError;
  /** Resolves when there is room on the disk; without it a full disk is a failure. */
  readonly waitForDisk?: (reason: XftpError) => Promise<void>;
}

/** One try, at one relay. */
export interface DownloadAttempt {
  readonly client: RelayClient;
  /** Aborts when it is stopped, or another relay was faster. */
  readonly signal: AbortSignal;
  /** To be told how many bytes have come so far. */
  readonly onReceived: (bytes: number) => void;
  /** Does something with what has come, unless another try has. */
  readonly finish: (write: () => Promise<void> | void) => Promise<void>;
}

/**
 * Downloads from the replica whose server does best, and from the next one when that fails or stands still, for as long
 * as it takes.
 *
 * @throws XftpError that ends the transfer, or CANCELLED
 */
export async function downloadFromAny<R extends Candidate>(what: ReplicaDownload<R>): Promise<void> {
  const { choice, replicas, signal } = what;
  const corrupt = new Map<number, number>();
  const drive = (replica: R) => async (racer: Racer) => {
    try {
      await attempt(what, replica, racer);
    } catch (error) {
      if (racer.signal.aborted) throw error;
      await follow(what, replica, { error, corrupt });
    }
  };
  const rivalOf = ({ server }: R): ReturnType<typeof drive> | undefined => {
    const rival = choice.bestOpen(replicas().filter((other) => other.server !== server));
    return rival && drive(rival);
  };
  for (;;) {
    const replica = choice.best(replicas());
    if (replica === undefined) throw what.noneLeft();
    if (await new ReplicaRace(signal).run(drive(replica), () => rivalOf(replica))) return;
  }
}

/** Asks one relay, when its turn has come. */
async function attempt<R extends Candidate>(
  { run, choice, bytes, chunk, replicas, download, signal }: ReplicaDownload<R>,
  replica: R,
  racer: Racer,
): Promise<void> {
  const { health, relays } = run.services;
  const ask = {
    server: parseServerAddress(replica.server),
    action: 'download',
    bytes,
    turn: run.turn,
    ...(chunk === undefined ? {} : { chunk }),
    signal: racer.signal,
    onBlocked: (reason?: XftpError) => run.onBlocked(choice.whyItWaits(replicas(), reason)),
    givesUp: () => choice.hasSooner(replica, replicas()),
  } as const;
  await relays.ask(ask, async (client, moving) => {
    const visit = health.begin(replica.server);
    racer.moved();
    try {
      await download(replica, {
        client,
        signal: racer.signal,
        onReceived: (received) => {
          racer.moved();
          moving(received);
        },
        finish: async (write) => {
          visit.succeeded(bytes);
          await racer.finish(async () => {
            await write();
          });
        },
      });
    } catch (error) {
      if (signal.aborted) visit.left();
      else visit.failed();
      throw error;
    }
  });
}

/** Returns when it is to be tried again, from here or elsewhere. */
async function follow<R extends Candidate>(
  what: ReplicaDownload<R>,
  replica: R,
  { error, corrupt }: { readonly error: unknown; readonly corrupt: Map<number, number> },
): Promise<void> {
  if (!isXftpError(error)) throw error;
  switch (consequenceOf(error)) {
    case 'retry':
      return;
    case 'distrust':
      what.distrust(replica, error);
      what.choice.gaveUp(replica.server, error);
      return;
    case 'other-server':
    case 'other-replica':
      what.giveUp(replica);
      what.choice.gaveUp(replica.server, error);
      return;
    case 'again': {
      const times = (corrupt.get(replica.id) ?? 0) + 1;
      corrupt.set(replica.id, times);
      if (times < MAX_WRONG_DOWNLOADS) return;
      what.giveUp(replica);
      what.choice.gaveUp(replica.server, error);
      return;
    }
    case 'wait-for-disk':
      if (what.waitForDisk === undefined) throw error;
      await what.waitForDisk(error);
      return;
    case 'wait-for-database':
    case 'fail':
    case 'stop':
      throw error;
  }
}
