import { MAX_RECIPIENTS, parseDescription, XftpError } from '../protocol/index.js';
import { describeSend } from './describe-send.js';
import { withSpares } from './intake.js';
import type { SendRow } from './detail-stores.js';
import type { DescriptionsResult, TransferInfo } from './model.js';
import { type Leftover, removeLeftovers } from './leftovers.js';
import { registerMore } from './more-recipients.js';
import { partPathOf } from './part-record.js';
import { refusedStep } from './refused-step.js';
import { discardUnfinished, type Replication } from './replication.js';
import type { RunServices } from './run.js';
import type { Scheduler } from './scheduler.js';
import { serverKey } from './server-store.js';
import { hoursInMs } from './settings-store.js';
import { failureOf, type TransferRow } from './transfer-store.js';
import { isFinal, mayFollow } from './transfer-states.js';

/** What steering transfers needs. */
export interface SteeringOptions {
  readonly services: RunServices;
  readonly scheduler: Scheduler;
  readonly replication: Replication;
  /** Stores the descriptions that are too long for a link, of recipients handed out later. */
  readonly storeRedirects: (id: string, signal: AbortSignal) => Promise<void>;
  /** Aborts when the agent stops. */
  readonly signal: AbortSignal;
  readonly onUnexpected: (error: unknown) => void;
}

/** What clients do with transfers that there are. */
export class Steering {
  readonly #services: RunServices;
  readonly #options: SteeringOptions;
  readonly #adding = new Map<string, Promise<void>>();

  constructor(options: SteeringOptions) {
    this.#services = options.services;
    this.#options = options;
  }

  pause(id: string): TransferInfo {
    this.#visible(id);
    this.#stop(id, 'paused');
    return this.#services.transfers.info(id);
  }

  resume(id: string): TransferInfo {
    const { state } = this.#visible(id);
    if (state !== 'paused') throw refusedStep('resume', state);
    return this.#enqueue(id);
  }

  cancel(id: string): TransferInfo {
    this.#visible(id);
    this.#stop(id, 'cancelled');
    return this.#services.transfers.info(id);
  }

  retry(id: string): TransferInfo {
    const row = this.#visible(id);
    const { chunks, clock, database, receives, settings, transfers } = this.#services;
    if (row.state !== 'failed' && row.state !== 'cancelled') throw refusedStep('retry', row.state);
    database.transaction(() => {
      transfers.update(id, { deadline: clock.now() + hoursInMs(settings().deadlineHours) });
      if (row.direction === 'receive') {
        chunks.forgiveReplicas(id);
        // A verified file that may have its name already is not downloaded once more; when it is gone, the run tells.
        const mayBePlaced = row.state === 'failed' && (receives.find(id)?.final_path ?? null) !== null;
        if (!mayBePlaced) receives.forgetVerified(id);
      } else if (row.state === 'cancelled' || failureOf(row)?.code === 'SOURCE_CHANGED')
        this.#forgetUploads(id);
      transfers.transition(id, { to: 'queued' });
    });
    this.#endPauses(id);
    this.#services.wake();
    this.#services.wakeRelayTasks();
    return transfers.info(id);
  }

  approve(id: string): TransferInfo {
    const { state } = this.#visible(id);
    if (state !== 'awaiting_approval') throw refusedStep('approve', state);
    this.#services.receives.approve(id);
    return this.#enqueue(id);
  }

  remove(id: string, { cancel = false }: { readonly cancel?: boolean } = {}): void {
    const { state } = this.#visible(id);
    if (cancel && !isFinal(state)) this.cancel(id);
    const { transfers, wakeRelayTasks } = this.#services;
    const row = transfers.row(id);
    if (!isFinal(row.state))
      throw new XftpError('ILLEGAL_STATE', `The transfer is ${row.state}: cancel it before it is removed.`);
    const leftovers = this.#leftovers(row);
    const stored = this.#stored(id);
    // Nobody has got a link to a description whose upload is not completed.
    for (const each of [id, ...stored]) {
      if (row.direction !== 'send') continue;
      if (transfers.row(each).state !== 'completed') this.#deleteUploads(each, undefined);
      else discardUnfinished(this.#services, each);
    }
    transfers.remove(id);
    const { scheduler, replication, onUnexpected } = this.#options;
    Promise.all([id, ...stored].flatMap((each) => [scheduler.halt(each), replication.halt(each)]))
      .then(() => removeLeftovers(leftovers))
      .catch(onUnexpected);
    wakeRelayTasks();
  }

  setPriority(id: string, priority: number): TransferInfo {
    this.#visible(id);
    this.#services.transfers.update(id, { priority });
    this.#options.scheduler.reprioritize(id);
    this.#services.wake();
    return this.#services.transfers.info(id);
  }

  setLimit(id: string, bytesPerSecond: number | null): TransferInfo {
    this.#visible(id);
    this.#services.transfers.update(id, { byte_limit: bytesPerSecond });
    this.#services.paces.setLimit(id, bytesPerSecond);
    return this.#services.transfers.info(id);
  }

  async descriptions(id: string): Promise<DescriptionsResult> {
    this.#handingOut(id);
    try {
      const described = await describeSend(this.#services, id);
      // Further copies are recorded while clients ask.
      await this.#services.database.flushed();
      return described;
    } finally {
      // It may have been removed or revoked meanwhile, which also is a better reason for a failure.
      this.#handingOut(id);
    }
  }

  addRecipients(id: string, count: number): Promise<DescriptionsResult> {
    // One after another for each send: each starts from what the one before has handed out.
    const before = this.#adding.get(id) ?? Promise.resolve();
    const added = before.then(() => this.#addRecipients(id, count));
    const ended = added.then(
      () => undefined,
      () => undefined,
    );
    this.#adding.set(id, ended);
    void ended.then(() => {
      if (this.#adding.get(id) === ended) this.#adding.delete(id);
    });
    return added;
  }

  async #addRecipients(id: string, count: number): Promise<DescriptionsResult> {
    const send = this.#handingOut(id);
    const { database, events, sends } = this.#services;
    const handedOut = send.handed_out + count;
    if (handedOut > MAX_RECIPIENTS)
      throw new XftpError(
        'INVALID_ARGUMENT',
        `A file has at most ${String(MAX_RECIPIENTS)} recipients: send it again for more.`,
      );
    const recipients = Math.max(send.recipients, withSpares(handedOut));
    try {
      if (recipients > send.recipients)
        await registerMore({
          services: this.#services,
          id,
          recipients,
          signal: this.#options.signal,
          check: () => this.#handingOut(id),
        });
      database.transaction(() => {
        this.#handingOut(id);
        sends.setRecipients(id, { handedOut, recipients });
        events.append('transfer.recipients', { handedOut, spare: recipients - handedOut }, id);
      });
      await this.#options.storeRedirects(id, this.#options.signal);
    } catch (error) {
      // That it was removed or revoked meanwhile is the better reason.
      this.#handingOut(id);
      throw error;
    }
    return this.descriptions(id);
  }

  /** A send whose descriptions may be handed out. */
  #handingOut(id: string): SendRow {
    const row = this.#visible(id);
    const send = this.#services.sends.find(id);
    if (send === undefined) throw new XftpError('ILLEGAL_STATE', 'Only a send has descriptions.');
    if (row.state !== 'completed')
      throw new XftpError(
        'ILLEGAL_STATE',
        `The transfer is ${row.state}: its descriptions come when it is completed.`,
      );
    if (send.revoked_at !== null)
      throw new XftpError('ILLEGAL_STATE', 'The file was revoked: there is nothing to hand out.');
    return send;
  }

  revoke(target: { readonly id?: string; readonly senderDescription?: string }): {
    readonly deletions: number;
  } {
    const { id, senderDescription } = target;
    if (id !== undefined && senderDescription === undefined) return this.#revokeTransfer(id);
    if (senderDescription !== undefined && id === undefined)
      return this.#revokeDescription(senderDescription);
    throw new XftpError('INVALID_ARGUMENT', 'Give either the id of a send or a sender description.');
  }

  /**
   * After the end of a run: what nobody needs any more is removed, on this machine and on relays. May be repeated, and
   * does nothing when the transfer has been put back into the queue meanwhile, or may be put there as it is.
   */
  cleanUp(id: string): void {
    const row = this.#services.transfers.find(id);
    // A failed transfer may be retried from where it was.
    if (row?.state !== 'completed' && row?.state !== 'cancelled') return;
    if (row.state === 'cancelled' && row.direction === 'send') {
      this.#deleteUploads(id, undefined);
      this.#services.wakeRelayTasks();
    }
    const { sends } = this.#services;
    // Further copies are made from it still.
    if (sends.find(id)?.replicating === 1) return;
    const leftovers = this.#leftovers(row).filter(({ replicating }) => replicating !== true);
    // A crash in between leaves a file that the next start finds to be nobody's.
    // A retry of a cancelled send takes the source itself.
    if (row.direction === 'send') sends.clearSnapshot(id);
    void removeLeftovers(leftovers);
  }

  #revokeTransfer(id: string): { readonly deletions: number } {
    const row = this.#visible(id);
    if (row.direction !== 'send')
      throw new XftpError('ILLEGAL_STATE', 'Only a file that was sent can be revoked.');
    if (!isFinal(row.state)) this.cancel(id);
    else this.#stopStored(id, 'cancelled');
    const { clock, database, events, relayTasks, sends, wakeRelayTasks } = this.#services;
    const ids = [id, ...this.#stored(id)];
    for (const each of ids) this.#haltReplication(each);
    const deletions = database.transaction(() => {
      const isFirst = sends.find(id)?.revoked_at === null;
      const count = this.#deleteUploads(id, id);
      // Those of an earlier cancellation, too.
      relayTasks.credit(id);
      sends.setRevoked(id, clock.now());
      for (const each of ids) sends.setReplicating(each, false);
      const pending = relayTasks.countOf(id, 'delete');
      events.append('transfer.revoked', { pending }, id);
      // Who waits for the end of it hears of one.
      if (pending === 0 && isFirst) events.append('transfer.deleted', { deleted: 0, failed: 0 }, id);
      return count;
    });
    wakeRelayTasks();
    return { deletions };
  }

  #revokeDescription(text: string): { readonly deletions: number } {
    const description = parseDescription(text);
    if (description.party !== 'sender')
      throw new XftpError(
        'INVALID_DESCRIPTION',
        "This is a recipient's file description: only the sender's can delete the file.",
      );
    const { chunks, database, relayTasks, wakeRelayTasks } = this.#services;
    const replicas = description.chunks
      .flatMap(({ replicas: each }) => each)
      .map(({ server, id, key }) => ({ server: serverKey(server), accessId: id, accessKey: key }));
    const [first] = replicas;
    const known = first && chunks.sendWith(first);
    if (known !== undefined) return this.#revokeTransfer(known);
    const deletions = database.transaction(
      () => replicas.filter((replica) => relayTasks.add({ action: 'delete', ...replica })).length,
    );
    wakeRelayTasks();
    return { deletions };
  }

  /** Everything of a send, and of its stored descriptions, that relays know: to be deleted there. Gives the number. */
  #deleteUploads(id: string, creditTo: string | undefined): number {
    const { chunks, database, relayTasks } = this.#services;
    return database.transaction(() => {
      const ids = [id, ...this.#stored(id)];
      const replicas = ids.flatMap((each) => chunks.replicas(each));
      for (const { id: replicaId } of replicas) chunks.setReplicaState(replicaId, 'bad');
      // Of a send that is not completed, so that a retry uploads them again.
      for (const each of ids)
        if (this.#services.transfers.row(each).state !== 'completed') chunks.reopenAll(each);
      return replicas.filter(
        ({ server, access_id: accessId, access_key: accessKey }) =>
          accessId !== null &&
          relayTasks.add({
            action: 'delete',
            ...(creditTo === undefined ? {} : { transferId: creditTo }),
            owner: id,
            server,
            accessId,
            accessKey,
          }),
      ).length;
    });
  }

  /** The source may be another one now: it is prepared anew, with new keys, and so are the links to it. */
  #forgetUploads(id: string): void {
    const { transfers } = this.#services;
    this.#deleteUploads(id, undefined);
    for (const stored of this.#stored(id)) transfers.remove(stored);
    transfers.forgetFile(id);
  }

  #enqueue(id: string): TransferInfo {
    const { transfers, wake } = this.#services;
    transfers.transition(id, { to: 'queued' });
    this.#endPauses(id);
    wake();
    return transfers.info(id);
  }

  /** What failed for a transfer, and for those that store its descriptions, is tried again at once. */
  #endPauses(id: string): void {
    for (const each of [id, ...this.#stored(id)]) this.#services.relays.retryOwner(each);
  }

  /** Stops a transfer, and with a send the transfers that store its descriptions. */
  #stop(id: string, to: 'paused' | 'cancelled'): void {
    const { database, transfers } = this.#services;
    const { direction, state } = transfers.row(id);
    if (!mayFollow(direction, state, to)) throw refusedStep(to === 'paused' ? 'pause' : 'cancel', state);
    database.transaction(() => {
      transfers.transition(id, { to });
      this.#stopStored(id, to);
    });
    this.#halt(id);
  }

  #stopStored(id: string, to: 'paused' | 'cancelled'): void {
    const { database, transfers } = this.#services;
    const stored = this.#stored(id);
    database.transaction(() => {
      for (const each of stored) {
        const { state } = transfers.row(each);
        if (!isFinal(state) && state !== to) transfers.transition(each, { to });
      }
      database.afterCommit(() => {
        for (const each of stored) this.#halt(each);
      });
    });
  }

  /** The transfers that store the descriptions of a send. */
  #stored(id: string): string[] {
    return this.#services.sends.redirects(id).map(({ transfer_id: stored }) => stored);
  }

  #halt(id: string): void {
    const { scheduler, onUnexpected } = this.#options;
    scheduler
      .halt(id)
      .then(() => {
        this.cleanUp(id);
      })
      .catch(onUnexpected);
  }

  #haltReplication(id: string): void {
    const { replication, onUnexpected } = this.#options;
    replication
      .halt(id)
      .then(() => {
        this.cleanUp(id);
      })
      .catch(onUnexpected);
  }

  /** Stored descriptions are no clients' business. */
  #visible(id: string): TransferRow {
    const row = this.#services.transfers.row(id);
    if (row.hidden !== 0) throw new XftpError('NOT_FOUND', `There is no transfer ${id}.`);
    return row;
  }

  /** Files that only this transfer needs. */
  #leftovers(row: TransferRow): Leftover[] {
    const { receives, sends, snapshotPath } = this.#services;
    if (row.direction === 'send')
      return [sends.find(row.id), ...sends.redirects(row.id)].flatMap((send) =>
        send === undefined || send.snapshot_path === null
          ? []
          : { path: snapshotPath(send.transfer_id), replicating: send.replicating === 1 },
      );
    const receive = receives.find(row.id);
    if (receive === undefined || row.state === 'completed') return [];
    const { final_path: finalPath } = receive;
    return [{ path: partPathOf(receive), ...(finalPath === null ? {} : { finalPath }) }];
  }
}
