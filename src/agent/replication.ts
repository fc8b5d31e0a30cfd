import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

import { isXftpError, XftpError } from '../protocol/index.js';
import { TaskGroup } from '../transfer/index.js';
import { discardReplica, type UploadRun } from './chunk-upload.js';
import { RECOVERY_MS } from './error-report.js';
import { consequenceOf, toFailureInfo } from './failure-policy.js';
import { isNoServerLeft, uploadReplicas } from './replica-uploads.js';
import { asXftpError, type RunServices } from './run.js';
import { preparedSource, seal, sendOf, serversOf } from './send-source.js';
import { ServerPick } from './server-pick.js';

/** Sends that are at it at once: those that wait for a dead relay must not hold up all others. */
const MAX_AT_ONCE = 64;
/** Behind every transfer that somebody waits for, before what relays have to be told. */
const PRIORITY = -50;

/** What replication needs. */
export interface ReplicationOptions {
  readonly services: RunServices;
  /** No more replicas come: what was kept for them can go. */
  readonly onEnd: (id: string) => void;
  readonly onUnexpected: (error: unknown) => void;
}

/**
 * Brings the chunks of completed sends onto the rest of the relays that they are to be on, in the background. Which
 * sends these are is in the database, so it goes on after a restart; it ends at the deadline of the send.
 */
export class Replication {
  readonly #options: ReplicationOptions;
  readonly #running = new Map<string, { readonly abort: AbortController; readonly ended: Promise<void> }>();
  #stopped = false;

  constructor(options: ReplicationOptions) {
    this.#options = options;
  }

  /** Starts what is to be done and is not under way. Never throws: what goes wrong is reported. */
  wake(): void {
    if (this.#stopped) return;
    try {
      for (const id of this.#options.services.sends.replicating())
        if (this.#running.size < MAX_AT_ONCE && !this.#running.has(id)) this.#start(id);
    } catch (error) {
      this.#options.onUnexpected(error);
    }
  }

  /** Ends what the deadlines of sends have overtaken. */
  giveUpOverdue(): void {
    const { clock, sends } = this.#options.services;
    const late = new XftpError(
      'DEADLINE_PASSED',
      'Not all copies were made before the deadline of the send.',
    );
    for (const id of sends.replicating({ overdueAt: clock.now() }))
      this.halt(id)
        .then(() => {
          this.#end(id, late);
        })
        .catch(this.#options.onUnexpected);
  }

  /** Stops it for one send; what is recorded stays as it is. */
  async halt(id: string): Promise<void> {
    const running = this.#running.get(id);
    running?.abort.abort();
    await running?.ended;
  }

  /** Stops all and starts no more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#running.keys()].map((id) => this.halt(id)));
  }

  #start(id: string): void {
    const abort = new AbortController();
    // Every chunk under way listens: many listeners are no leak here.
    setMaxListeners(0, abort.signal);
    const ended = this.#run(id, abort.signal)
      .catch(this.#options.onUnexpected)
      .then(() => {
        this.#options.services.paces.end(id);
        this.#running.delete(id);
        this.wake();
      });
    this.#running.set(id, { abort, ended });
  }

  async #run(id: string, signal: AbortSignal): Promise<void> {
    // It may be stopped at any time.
    const isStopped = (): boolean => signal.aborted;
    while (!isStopped())
      try {
        await replicate(runOf(id, this.#options.services), signal);
        this.#end(id);
        return;
      } catch (error) {
        if (isStopped()) return;
        if (consequenceOf(error) !== 'wait-for-database') {
          if (!isXftpError(error)) this.#options.onUnexpected(error);
          this.#end(id, asXftpError(error));
          return;
        }
        this.#options.onUnexpected(error);
        await delay(RECOVERY_MS, undefined, { signal, ref: false }).catch(() => undefined);
      }
  }

  /** What is not uploaded by now never will be. */
  #end(id: string, failure?: XftpError): void {
    const { services, onEnd } = this.#options;
    const { chunks, database, events, sends, transfers } = services;
    database.transaction(() => {
      const send = sends.find(id);
      if (send?.replicating !== 1) return;
      discardUnfinished(services, id);
      sends.setReplicating(id, false);
      const { complete, uploaded } = chunks.completeReplicas(id);
      const { chunks_total: count, hidden } = transfers.row(id);
      if (hidden !== 0) return;
      events.append(
        'transfer.replicated',
        {
          wanted: send.replicas,
          complete,
          uploaded,
          missing: count * send.replicas - uploaded,
          ...(failure === undefined ? {} : { failure: toFailureInfo(failure) }),
        },
        id,
      );
    });
    onEnd(id);
  }
}

/** Replicas of a send whose upload never ended are not used; what relays have of them is deleted. */
export function discardUnfinished(services: RunServices, id: string): void {
  for (const replica of services.chunks.replicas(id))
    if (replica.state !== 'uploaded') discardReplica(services, replica);
}

/** Uploads until each chunk is on as many relays as are wanted. Throws XftpError. */
async function replicate(run: UploadRun, signal: AbortSignal): Promise<void> {
  const { chunks, gates, servers } = run.services;
  const send = sendOf(run);
  const all = chunks.chunks(run.id);
  const source = preparedSource(run, send, all);
  const pick = new ServerPick({ listed: () => serversOf(run, send), copies: send.replicas }, gates, servers);
  const failures: XftpError[] = [];
  const group = new TaskGroup(signal);
  // All at once: who waits for a dead relay costs next to nothing, and holds up nobody.
  await group.run(() =>
    Promise.all(
      all.map((chunk) =>
        group.add(async () => {
          try {
            await uploadReplicas(
              { run, send, chunk, count: send.replicas, pick, asMany: true, signal: group.signal },
              (buffer) => seal(run, source, chunk, buffer),
            );
          } catch (error) {
            // The others get as many copies as there can be.
            if (!isNoServerLeft(error)) throw error;
            failures.push(error);
          }
        }),
      ),
    ),
  );
  const [failure] = failures;
  if (failure !== undefined) throw failure;
}

/** Nobody waits for it: it changes no state, and tells of no progress. */
function runOf(id: string, services: RunServices): UploadRun {
  return {
    id,
    services,
    get row() {
      return services.transfers.row(id);
    },
    get pace() {
      return services.paces.of(id, services.transfers.row(id));
    },
    get turn() {
      return { owner: id, priority: PRIORITY };
    },
    onBlocked: () => () => undefined,
    warn: (warning, failure, server) => {
      if (services.transfers.row(id).hidden === 0)
        services.events.append('transfer.warning', { warning, failure, server }, id);
    },
    showProgress: () => undefined,
  };
}
