import * as z from 'zod';

import type { AgentEvent, DurableEvent, DurableEventType, ProgressEvent } from '../agent/index.js';

import {
  failureInfo,
  networkInfo,
  time,
  transferInfo,
  transferState,
  waitingReason,
} from './model-schemas.js';
import { settings } from './settings-schemas.js';
import { schemaOf } from './schema-of.js';

const nothing = z.object({});
const count = z.int().min(0);

/** Schema of the durable events of one type; `I` is that of the transfer that they are about. */
type DurableSchema<T extends string, D extends z.ZodType, I extends z.ZodType> = z.ZodObject<{
  seq: z.ZodInt;
  at: typeof time;
  type: z.ZodLiteral<T>;
  transferId: I;
  data: D;
}>;

function durable<const T extends DurableEventType, D extends z.ZodType>(
  type: T,
  data: D,
): DurableSchema<T, D, z.ZodExactOptional<z.ZodString>> {
  return z.object({
    seq: z.int().min(1),
    at: time,
    type: z.literal(type),
    transferId: z.string().exactOptional(),
    data,
  });
}

function ofTransfer<const T extends DurableEventType & `transfer.${string}`, D extends z.ZodType>(
  type: T,
  data: D,
): DurableSchema<T, D, z.ZodString> {
  return z.object({ ...durable(type, data).shape, transferId: z.string() });
}

export const durableEvent = schemaOf<DurableEvent>()(
  'DurableEvent',
  'An event that is kept: `seq` grows by exactly one from event to event.',
  z.discriminatedUnion('type', [
    ofTransfer('transfer.created', z.object({ transfer: transferInfo })),
    ofTransfer(
      'transfer.state',
      z.object({
        from: transferState,
        to: transferState,
        waitingReason: waitingReason.exactOptional(),
        failure: failureInfo.exactOptional(),
      }),
    ),
    ofTransfer('transfer.completed', z.object({ transfer: transferInfo })),
    ofTransfer('transfer.failed', z.object({ transfer: transferInfo, failure: failureInfo })),
    ofTransfer(
      'transfer.warning',
      z.object({
        warning: z.enum(['security', 'relay']),
        failure: failureInfo,
        server: z.string().exactOptional(),
      }),
    ),
    ofTransfer('transfer.approval', z.object({ servers: z.array(z.string()), reason: z.string() })),
    ofTransfer('transfer.recipients', z.object({ handedOut: count, spare: count })),
    ofTransfer(
      'transfer.replicated',
      z.object({
        wanted: count,
        complete: count,
        uploaded: count,
        missing: count,
        failure: failureInfo.exactOptional(),
      }),
    ),
    ofTransfer('transfer.revoked', z.object({ pending: count })),
    ofTransfer('transfer.deleted', z.object({ deleted: count, failed: count })),
    ofTransfer('transfer.removed', nothing),
    durable('network.changed', z.object({ network: networkInfo })),
    durable('settings.changed', z.object({ settings })),
    durable('servers.changed', nothing),
  ]),
);

export const progressEvent = schemaOf<ProgressEvent>()(
  'ProgressEvent',
  'How a transfer moves: at most four a second for each, never kept, without a number.',
  z.object({
    at: time,
    type: z.literal('transfer.progress'),
    transferId: z.string(),
    data: z.object({
      state: transferState,
      bytesDone: count,
      bytesTotal: count,
      bytesPerSecond: z.number().min(0),
      secondsLeft: z.number().min(0).exactOptional(),
    }),
  }),
);

/** What each durable event means, for the contract; `Record` keeps it complete. */
export const EVENT_MEANINGS: Readonly<Record<DurableEventType | 'transfer.progress', string>> = {
  'transfer.created': 'A transfer was taken on.',
  'transfer.state': 'A transfer changed its state.',
  'transfer.completed': 'A transfer is done: exactly one for a run that succeeds.',
  'transfer.failed': 'A transfer failed: exactly one for a run that fails.',
  'transfer.warning':
    'Something to know although the transfer goes on; `security`: a relay is not who it should be.',
  'transfer.approval': 'A receive waits until its unknown relays are approved.',
  'transfer.recipients': 'The recipients of a send changed.',
  'transfer.replicated':
    'No more copies of a completed send come: all are there, or the rest was given up, with why. `complete`: on how many relays each chunk is at least; `uploaded` and `missing` count copies of chunks.',
  'transfer.revoked': 'A sent file is being deleted on its relays.',
  'transfer.deleted': 'The last deletion on relays was done, or given up.',
  'transfer.removed': 'A transfer was forgotten.',
  'network.changed': 'The agent believes something else about the network.',
  'settings.changed': 'Settings were changed.',
  'servers.changed': 'The server list was changed.',
  'transfer.progress': 'Bytes moved. Not kept, without `seq`, dropped for clients that are slow to read.',
};

/** Every type of event. */
export const EVENT_TYPES = Object.keys(EVENT_MEANINGS) as readonly AgentEvent['type'][];

export const eventType = schemaOf<AgentEvent['type']>()(
  'EventType',
  'What kind of event it is.',
  z.enum(EVENT_TYPES),
);
