import { basename } from 'node:path';

import type { FailureInfo, TransferInfo, TransferState, WaitingReason } from '../agent/index.js';
import { humanCount, humanDuration, humanSize } from '../protocol/index.js';
import { safeText } from './display-text.js';
import type { Column } from './table.js';
import { fullTime, localTime, relativeTime } from './time-text.js';

/** IDs in tables have at least so many characters: enough to tell transfers apart for a while. */
const MIN_SHOWN_ID = 8;

/** What a bar is made of. */
const FILLED = '█';
const EMPTY = '░';

const STATE_TEXTS: Readonly<Record<TransferState, string>> = {
  queued: 'queued',
  preparing: 'preparing',
  uploading: 'uploading',
  awaiting_approval: 'needs approval',
  downloading: 'downloading',
  verifying: 'verifying',
  waiting: 'waiting',
  paused: 'paused',
  failed: 'failed',
  cancelled: 'cancelled',
  completed: 'completed',
};

const WAITING_TEXTS: Readonly<Record<WaitingReason, string>> = {
  offline: 'waiting for the network',
  relay: 'waiting for a relay',
  disk: 'waiting for disk space',
};

/** All states. */
export const TRANSFER_STATES = Object.keys(STATE_TEXTS) as readonly TransferState[]; // the keys of a complete record

/** How fast a transfer moves now. */
export interface Pace {
  readonly bytesPerSecond: number;
  readonly secondsLeft?: number;
}

/** Whether nothing follows unless somebody asks for it. */
export function isFinished(state: TransferState): boolean {
  return state === 'completed' || state === 'failed' || state === 'cancelled';
}

/** The state in words. */
export function stateText({ state, waitingReason }: Pick<TransferInfo, 'state' | 'waitingReason'>): string {
  return waitingReason === undefined ? STATE_TEXTS[state] : WAITING_TEXTS[waitingReason];
}

/** A failure as a sentence and what to do about it. */
export function failureText({ message, hint }: FailureInfo): string {
  return hint === undefined ? message : `${message} ${hint}`;
}

/** Why a transfer waits, and until when it is tried again, as a sentence. */
export function waitText(
  wait: { readonly waitingReason: WaitingReason | undefined; readonly failure: FailureInfo | undefined },
  deadline: number,
): string {
  const { waitingReason, failure } = wait;
  const what = waitingReason === undefined ? STATE_TEXTS.waiting : WAITING_TEXTS[waitingReason];
  const why = failure === undefined ? '' : `: ${failure.message.replace(/\.$/, '')}`;
  return `${what.charAt(0).toUpperCase()}${what.slice(1)}${why}; it is tried again until ${localTime(deadline)}.`;
}

/** The whole percent of a transfer that is done; 100 only when all of it is. */
export function percentOf(done: number, total: number): number {
  return total <= 0 ? 0 : Math.min(100, Math.floor((done / total) * 100));
}

/** A bar of `width` columns. */
export function progressBar(done: number, total: number, width: number): string {
  const filled = total <= 0 ? 0 : Math.min(width, Math.floor((done / total) * width));
  return FILLED.repeat(filled) + EMPTY.repeat(width - filled);
}

/** Speed and time left. */
export function paceText({ bytesPerSecond, secondsLeft }: Pace): string {
  const speed = `${humanSize(bytesPerSecond)}/s`;
  return secondsLeft === undefined ? speed : `${speed}, ${humanDuration(secondsLeft)} left`;
}

/** The file's name, or what is known instead. */
export function nameOf({ fileName, path }: Pick<TransferInfo, 'fileName' | 'path'>): string {
  return fileName ?? (path === undefined ? '(name not known yet)' : basename(path));
}

/** The length at which beginnings of all these IDs differ. */
export function shownIdLength(ids: readonly string[]): number {
  const unique = new Set(ids);
  const longest = Math.max(MIN_SHOWN_ID, ...ids.map((id) => id.length));
  let length = MIN_SHOWN_ID;
  while (length < longest && new Set(ids.map((id) => id.slice(0, length))).size < unique.size) length++;
  return length;
}

/** Columns of a list of transfers. */
export const TRANSFER_COLUMNS: readonly Column[] = [
  { title: 'ID' },
  { title: '' },
  { title: 'STATE', cut: true },
  { title: 'DONE', align: 'right' },
  { title: 'SIZE', align: 'right' },
  { title: 'FILE', cut: true },
  { title: 'CHANGED' },
];

/** The row of a transfer in a list. */
export function transferRow(transfer: TransferInfo, idLength: number, now: number): string[] {
  const { id, direction, bytesDone, encryptedSize, fileSize, updatedAt } = transfer;
  const size = fileSize ?? encryptedSize;
  return [
    id.slice(0, idLength),
    direction === 'send' ? '↑' : '↓',
    stateText(transfer),
    encryptedSize === undefined ? '' : `${String(percentOf(bytesDone, encryptedSize))} %`,
    size === undefined ? '' : humanSize(size),
    nameOf(transfer),
    relativeTime(updatedAt, now),
  ];
}

/** All that is known about a transfer, as names and values. */
export function transferFields(
  transfer: TransferInfo,
  now: number,
): (readonly [string, string | undefined])[] {
  const { recipients, replicas, revoked, approval, failure, encryptedSize, fileSize } = transfer;
  const time = (at: number | undefined): string | undefined =>
    at === undefined ? undefined : fullTime(at, now);
  return [
    ['ID', transfer.id],
    ['Direction', transfer.direction],
    ['State', stateText(transfer)],
    ['File', transfer.fileName],
    ['Path', transfer.path],
    ['Size', fileSize === undefined ? undefined : `${humanSize(fileSize)} (${String(fileSize)} bytes)`],
    ['Done', encryptedSize === undefined ? undefined : doneText(transfer, encryptedSize)],
    [
      transfer.state === 'waiting' ? 'Waits after' : 'Failure',
      failure && `${failureText(failure)} (${failure.code})`,
    ],
    [
      'Recipients',
      recipients && `${String(recipients.handedOut)} handed out, ${String(recipients.spare)} spare`,
    ],
    [
      'Replicas',
      replicas &&
        (replicas.wanted > 1
          ? `on ${String(replicas.complete)} of ${String(replicas.wanted)} relays`
          : undefined),
    ],
    ['Approval', approval && `${approval.reason} Relays: ${approval.servers.join(', ')}`],
    ['Revoked', revoked && `${fullTime(revoked.at, now)}, ${humanCount(revoked.pending, 'deletion')} to do`],
    ['Reference', transfer.clientRef],
    ['Priority', String(transfer.priority)],
    ['Limit', transfer.limit === undefined ? undefined : `${humanSize(transfer.limit)}/s`],
    ['Isolation', transfer.isolation],
    ['Run', String(transfer.run)],
    ['Created', time(transfer.createdAt)],
    ['Changed', time(transfer.updatedAt)],
    ['Finished', time(transfer.finishedAt)],
    ['Deadline', isFinished(transfer.state) ? undefined : time(transfer.deadline)],
    ['Expires', revoked === undefined ? time(transfer.expiresAt) : undefined],
  ];
}

function doneText({ bytesDone, chunksDone, chunksTotal }: TransferInfo, total: number): string {
  return (
    `${String(percentOf(bytesDone, total))} %, ${humanSize(bytesDone)} of ${humanSize(total)} encrypted, ` +
    `${String(chunksDone)} of ${humanCount(chunksTotal, 'chunk')}`
  );
}

/** Columns of the bar in a line about a transfer. */
const BAR_WIDTH = 20;

/** A transfer under way in one line: bar, percent, speed, time left. */
export function transferBarLine(transfer: TransferInfo, pace?: Pace): string {
  const { id, direction, bytesDone, encryptedSize = 0, failure, state } = transfer;
  const bar = progressBar(bytesDone, encryptedSize, BAR_WIDTH);
  const percent = `${String(percentOf(bytesDone, encryptedSize)).padStart(3)} %`;
  const moves = pace !== undefined && (state === 'uploading' || state === 'downloading');
  const status = moves ? paceText(pace) : stateText(transfer);
  const start = `${id.slice(0, MIN_SHOWN_ID)} ${direction === 'send' ? '↑' : '↓'} ${bar} ${percent}`;
  // Last, since lines are cut to the terminal.
  const why = state === 'waiting' && failure !== undefined ? `  ${failure.message}` : '';
  return `${start}  ${status}  ${safeText(`${nameOf(transfer)}${why}`)}`;
}
