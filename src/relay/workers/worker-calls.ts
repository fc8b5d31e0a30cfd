import type { Socket } from 'node:net';

import type { HostMeasures } from '../connection-host.js';
import type { ChunkFolder } from '../file-storage.js';
import type { FlushPolicy } from '../flush-schedule.js';
import type { RelayLimits } from '../limits.js';
import type { Problem } from '../problem-reporter.js';
import type { RecordOwner } from '../record-owner.js';
import type { WrongStart } from '../services.js';
import type { ShownIdentity } from '../shown-identity.js';
import type { ProcessUse } from '../process-use.js';

/** How a connection worker is to work. It gets this over its channel alone, since there are keys in it. */
export interface WorkerSettings {
  readonly shown: ShownIdentity;
  readonly folder: ChunkFolder;
  readonly fsync: FlushPolicy;
  readonly limits: RelayLimits;
  readonly logTlsErrors: boolean;
}

/** What the owner of the records calls in a connection worker. */
export interface WorkerCalls {
  readonly start: (settings: WorkerSettings) => void;
  /** Serves a connection; undefined: it ended on the way. */
  readonly take: (number: number, client: string | undefined, socket: Socket | undefined) => void;
  /** Whether it serves a connection: it may not have got it. */
  readonly has: (number: number) => boolean;
  readonly show: (shown: ShownIdentity) => Promise<void>;
  readonly closeUnusedSince: (time: number) => void;
  readonly measure: () => Promise<WorkerMeasures>;
  readonly stop: () => Promise<void>;
}

/** A connection worker in numbers. */
export interface WorkerMeasures extends Pick<HostMeasures, 'clients'> {
  readonly use: ProcessUse;
}

/** What a connection worker calls in the owner of the records. */
export interface OwnerCalls extends RecordOwner {
  /** A connection is over. */
  readonly ended: (number: number) => void;
  readonly failed: (problem: Problem) => void;
  readonly tlsFailed: (reason: string) => void;
  readonly misled: (first: WrongStart) => void;
}
