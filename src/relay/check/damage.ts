import type { ChunkRecord } from '../record.js';
import type { RecordTable } from '../record-table.js';
import type { BodyState } from './body-check.js';

/** What is wrong with the chunks of a relay, for a repair. */
export interface Damage {
  readonly table: RecordTable;
  /** How many lines of the log have to go. */
  readonly lines: number;
  /** Whether each line could be read: else nobody knows whether a body without a record is wanted. */
  readonly complete: boolean;
  /** Bodies that are not what their records say. */
  readonly bodies: readonly {
    readonly record: ChunkRecord;
    readonly path: string;
    readonly state: BodyState;
  }[];
  /** Bodies that lie in the folder of chunks while their record names another one. */
  readonly moved: readonly { readonly record: ChunkRecord; readonly path: string }[];
  /** Names of files in the folder of chunks that no record needs. */
  readonly leftOvers: readonly string[];
}
