import type { StoredBodies } from '../record-table.js';
import type { ProcessUse } from '../process-use.js';
import type { StatisticsSnapshot } from './statistics.js';

/** What there is to know of a relay at work, in numbers. */
export interface RelayFigures {
  readonly statistics: StatisticsSnapshot;
  readonly stored: StoredBodies;
  /** Bytes of the quota in use, by stored bodies and uploads under way. */
  readonly usedBytes: number;
  /** Bytes, or undefined for no limit. */
  readonly quotaBytes: number | undefined;
  readonly newFiles: boolean;
  /** What all processes of the relay have used up. */
  readonly use: ProcessUse;
  /** Processes that serve connections beside this one. */
  readonly workers: number;
  /** Connections of clients. */
  readonly clients: number;
  /** Unix time in ms. */
  readonly startedAt: number;
  /** Failures of the relay itself since it was started. */
  readonly problems: number;
  /** Of the program. */
  readonly version: string;
  /** Text that the operator gave for the metrics, by `XFTP_RTS_OPTIONS`. */
  readonly rtsOptions: string;
}
