import type { ChunkRecord } from '../record.js';
import type { RecordTable } from '../record-table.js';
import type { BodyDamage } from './body-check.js';

/** What is wrong with the chunks of a relay, for a repair. */
export interface Damage {
  readonly table: RecordTable;
  /** How many lines of the log have to go. */
  readonly lines: number;
  /** Whether there is a log at all. Without one, nobody knows whether a body without a record is wanted. */
  readonly hadLog: boolean;
  /** Bodies that are not what their records say; not those that cannot be read, which may be sound. */
  readonly bodies: readonly {
    readonly record: ChunkRecord;
    readonly path: string;
    readonly state: BodyDamage;
  }[];
  /** Bodies that lie in the folder of chunks while their record names another one. */
  readonly moved: readonly { readonly record: ChunkRecord; readonly path: string }[];
  /** Names of files in the folder of chunks that no record needs. */
  readonly leftOvers: readonly string[];
}
