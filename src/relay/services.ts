import type { BodyStorage } from './body-storage.js';
import type { DownloadSlots } from './download-slots.js';
import type { Exclusive } from './exclusive.js';
import type { FirstBytes } from './first-bytes.js';
import type { RelayLimits } from './limits.js';
import type { StorageQuota } from './quota.js';
import type { RecordOwner } from './record-owner.js';
import type { RecordStore } from './record-store.js';
import type { RelayStatistics } from './statistics/statistics.js';
import type { RegistrationCredit } from './registration-credit.js';
import type { UploadConnection, UploadSlots } from './upload-slots.js';

/** What the relay lets clients do. */
export interface RelayPolicy {
  readonly newFiles: boolean;
  /** As it travels; undefined when everybody may make new chunks. */
  readonly createPassword: Uint8Array | undefined;
  /** Allowed chunk sizes, in bytes. */
  readonly chunkSizes: readonly number[];
  /** How long chunks are kept, in seconds. */
  readonly chunkLifeSeconds: number;
}

/** What the owner of the records works with. There is one in a relay. */
export interface OwnerServices {
  readonly store: RecordStore;
  readonly storage: BodyStorage;
  readonly quota: StorageQuota;
  /** By sender ID: an upload is stored, and a chunk deleted, while nobody does the other. */
  readonly exclusive: Exclusive;
  readonly statistics: RelayStatistics;
  readonly registrations: RegistrationCredit;
  readonly policy: RelayPolicy;
  readonly limits: RelayLimits;
  /** Current time in ms. */
  readonly now: () => number;
  /** Told when the relay itself fails (a full disk, say), never of what clients do. */
  readonly failed: (error: unknown) => void;
}

/** What serving connections needs. There is one in each process that does. */
export interface ConnectionServices {
  readonly owner: RecordOwner;
  readonly storage: BodyStorage;
  readonly uploads: UploadSlots;
  readonly downloads: DownloadSlots;
  readonly limits: RelayLimits;
  /** Current time in ms. */
  readonly now: () => number;
  /** Told when the relay itself fails, never of what clients do. */
  readonly failed: (error: unknown) => void;
  /** Told when a client's TLS handshake fails. */
  readonly tlsFailed: (error: Error) => void;
  /** Told when something comes that only a wrong proxy in front of the relay sends. */
  readonly misled: (first: WrongStart) => void;
}

/** What connections begin with when a proxy in front does what it should not. */
export type WrongStart = Exclude<FirstBytes, 'tls' | 'other'>;

/** One connection, as commands see it. */
export interface CommandSession {
  /** The TLS session identifier. */
  readonly id: Uint8Array;
  /** Protocol version agreed on. */
  readonly version: number;
  /** The relay's X25519 key (PKCS8) of this session; undefined without a handshake. */
  readonly privateKey: Uint8Array | undefined;
  /** Stands for the connection where uploads and downloads are counted. */
  readonly connection: UploadConnection;
  /** What the client is counted by, with all its connections; undefined if it is not counted. */
  readonly client: string | undefined;
}
