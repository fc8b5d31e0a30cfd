import type { ChunkStore } from './chunk-store.js';
import type { TransferInfo } from './model.js';
import type { RelayTaskStore } from './relay-task-store.js';
import type { SendRow, SendStore } from './detail-stores.js';
import { failureOf, type TransferRow } from './transfer-store.js';

/** What the description of a transfer is made from. */
export interface TransferSources {
  readonly sends: SendStore;
  readonly chunks: ChunkStore;
  readonly relayTasks: RelayTaskStore;
  /** Relays of a receive that have to be approved. */
  readonly unapproved: (id: string) => readonly string[];
}

/** Why unknown relays have to be approved. */
export const APPROVAL_REASON =
  'These relays are not in the server list, and downloading from them shows them this machine’s network address.';

/** A transfer as clients see it. */
export function describeTransfer(row: TransferRow, sources: TransferSources): TransferInfo {
  const failure = failureOf(row);
  return {
    id: row.id,
    direction: row.direction,
    state: row.state,
    priority: row.priority,
    bytesDone: row.bytes_done,
    chunksDone: row.chunks_done,
    chunksTotal: row.chunks_total,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    deadline: row.deadline,
    run: row.run,
    ...present('waitingReason', row.waiting_reason),
    ...present('clientRef', row.client_ref),
    ...present('fileName', row.file_name),
    ...present('fileSize', row.file_size),
    ...present('encryptedSize', row.encrypted_size),
    ...present('path', row.path),
    ...present('finishedAt', row.finished_at),
    ...present('expiresAt', row.expires_at),
    ...present('isolation', row.isolation),
    ...present('limit', row.byte_limit),
    ...(failure === undefined ? {} : { failure }),
    ...(row.direction === 'send' ? sendFacts(row, sources) : {}),
    ...(row.state === 'awaiting_approval'
      ? { approval: { servers: sources.unapproved(row.id), reason: APPROVAL_REASON } }
      : {}),
  };
}

function sendFacts(row: TransferRow, { chunks, sends, relayTasks }: TransferSources): Partial<TransferInfo> {
  const send = sends.find(row.id);
  if (send === undefined) return {};
  return {
    recipients: { handedOut: send.handed_out, spare: send.recipients - send.handed_out },
    replicas: {
      wanted: send.replicas,
      required: send.replicas_required,
      complete: completeReplicas(row, send, chunks),
    },
    ...(send.revoked_at === null
      ? {}
      : { revoked: { at: send.revoked_at, pending: relayTasks.countOf(row.id, 'delete') } }),
  };
}

/** The chunks are counted only where their number is not known otherwise: lists tell of many transfers. */
function completeReplicas(row: TransferRow, send: SendRow, chunks: ChunkStore): number {
  if (send.revoked_at !== null) return 0;
  if (send.replicas === 1) return row.state === 'completed' ? 1 : 0;
  return chunks.completeReplicas(row.id).complete;
}

/** The member, unless its value is absent. */
function present<K extends string, V>(name: K, value: V | null): Partial<Record<K, V>> {
  // A computed key is a string to TypeScript.
  return value === null ? {} : ({ [name]: value } as Record<K, V>);
}
