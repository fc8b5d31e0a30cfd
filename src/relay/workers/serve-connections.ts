import { FileStorage } from '../file-storage.js';
import { FlushSchedule } from '../flush-schedule.js';
import { LocalHost } from '../local-host.js';
import { connectionServices } from '../open-services.js';
import { describeProblem, tlsFailureReason } from '../problem-reporter.js';
import { processUse } from '../process-use.js';
import type { RecordOwner } from '../record-owner.js';
import type { ConnectionServices } from '../services.js';
import { CallChannel, type Send } from './call-channel.js';
import type { OwnerCalls, WorkerCalls, WorkerSettings } from './worker-calls.js';

/** Serves the connections that the owner of the records hands over, until it disconnects or ends. */
export function serveConnections(send: Send): void {
  let host: LocalHost | undefined;
  const taken = new Set<number>();
  const started = (): LocalHost => {
    if (host === undefined) throw new Error('The worker was not started.');
    return host;
  };
  const calls: WorkerCalls = {
    start: (settings) => {
      host = new LocalHost(settings.shown, workerServices(settings, channel));
    },
    take: (number, client, socket) => {
      const ended = (): void => {
        taken.delete(number);
        channel.tell('ended', number);
      };
      taken.add(number);
      if (socket === undefined) ended();
      else started().take(socket, client, ended);
    },
    has: (number) => taken.has(number),
    show: (shown) => started().show(shown),
    closeUnusedSince: (time) => {
      started().closeUnusedSince(time);
    },
    measure: async () => ({ clients: (await started().measure()).clients, use: processUse() }),
    stop: () => started().stop(),
  };
  const channel = new CallChannel<OwnerCalls>(send, calls);
  process.on('message', (message, socket) => {
    channel.receive(message, socket);
  });
  process.once('disconnect', () => process.exit(0));
}

function workerServices(
  { folder, fsync, limits, logTlsErrors }: WorkerSettings,
  channel: CallChannel<OwnerCalls>,
): ConnectionServices {
  const failed = (error: unknown): void => {
    channel.tell('failed', describeProblem(error));
  };
  return connectionServices({
    owner: remoteOwner(channel),
    // Bodies are committed by the owner, so nothing is left to be flushed later here.
    storage: new FileStorage(folder, new FlushSchedule(fsync, failed)),
    limits,
    now: Date.now,
    failed,
    tlsFailed: (error) => {
      if (logTlsErrors) channel.tell('tlsFailed', tlsFailureReason(error));
    },
    misled: (first) => {
      channel.tell('misled', first);
    },
  });
}

/** The owner of the records in another process. */
function remoteOwner(channel: CallChannel<OwnerCalls>): RecordOwner {
  return {
    bySender: (senderId) => channel.call('bySender', senderId),
    byRecipient: (recipientId) => channel.call('byRecipient', recipientId),
    create: (chunk, client) => channel.call('create', chunk, client),
    addRecipients: (senderId, keys) => channel.call('addRecipients', senderId, keys),
    beginUpload: (senderId, client) => channel.call('beginUpload', senderId, client),
    commitUpload: (ticket) => channel.call('commitUpload', ticket),
    abandonUpload: (ticket) => channel.call('abandonUpload', ticket),
    deleteChunk: (senderId) => channel.call('deleteChunk', senderId),
    acknowledge: (recipientId) => channel.call('acknowledge', recipientId),
    countDownload: (senderId) => {
      channel.tell('countDownload', senderId);
    },
    settled: () => channel.call('settled'),
  };
}
