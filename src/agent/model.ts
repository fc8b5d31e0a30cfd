import type { FailureCode, FailureKind } from '../protocol/index.js';
import type { OnionPolicy, SocksMode } from '../transport/index.js';
import type { ISOLATION_LEVELS } from './isolation.js';

// What the agent tells about itself: plain data, as it also goes over the RPC. Times are milliseconds since 1970,
// sizes are bytes. Server addresses are without password.

export type * from './server-model.js';

/** Which way a file goes. */
export type Direction = 'send' | 'receive';

/** States of a transfer; see `transfer-states.ts` for what each means and what may follow it. */
export type TransferState =
  | 'queued'
  | 'preparing'
  | 'uploading'
  | 'awaiting_approval'
  | 'downloading'
  | 'verifying'
  | 'waiting'
  | 'paused'
  | 'failed'
  | 'cancelled'
  | 'completed';

/** Why a transfer waits: no network, no relay that does its part, no room on the disk. */
export type WaitingReason = 'offline' | 'relay' | 'disk';

/** What to do when the destination's name is taken. */
export type OnConflict = 'rename' | 'overwrite' | 'fail';

/** When to upload the description itself and give out a link to it: `auto` when a link would not fit a QR code. */
export type RedirectPolicy = 'auto' | 'never' | 'always';

/** A failure as it is told to clients. */
export interface FailureInfo {
  readonly code: FailureCode;
  readonly kind: FailureKind;
  readonly temporary: boolean;
  /** One sentence for a person. */
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
  /** The relay's own error text. */
  readonly wire?: string;
}

/** A transfer at one moment. */
export interface TransferInfo {
  readonly id: string;
  readonly direction: Direction;
  readonly state: TransferState;
  /** Only while `waiting`. */
  readonly waitingReason?: WaitingReason;
  /** The caller's own name for it. */
  readonly clientRef?: string;
  /** From -10 to 10; higher goes first. */
  readonly priority: number;
  /** Unknown (absent) until a receive has its first chunk. */
  readonly fileName?: string;
  /** Absent until it is known. */
  readonly fileSize?: number;
  /** Absent until it is known. */
  readonly encryptedSize?: number;
  /** Send: the source. Receive: the file, once it is completed. Absolute. */
  readonly path?: string;
  /** Bytes of the encrypted file that are done with, in whole chunks. */
  readonly bytesDone: number;
  readonly chunksDone: number;
  readonly chunksTotal: number;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly finishedAt?: number;
  /** When it fails if it is not completed. */
  readonly deadline: number;
  /** Estimate of when relays drop the first of its chunks. */
  readonly expiresAt?: number;
  /** Its own limit in bytes per second, if it has one. */
  readonly limit?: number;
  /** What may share connections with it, if it asked for less than the setting says. */
  readonly isolation?: Isolation;
  /** From 1; each retry adds one. */
  readonly run: number;
  /** Why it failed; while `waiting`, what it met last before that, if that is known. */
  readonly failure?: FailureInfo;
  /** Only of sends. */
  readonly recipients?: { readonly handedOut: number; readonly spare: number };
  /**
   * Only of sends: on how many relays each chunk is to be, must be for the send to be completed, and is (the chunk with
   * the fewest counts).
   */
  readonly replicas?: { readonly wanted: number; readonly required: number; readonly complete: number };
  /** Only of sends that were revoked: when, and how many deletions on relays are still to do. */
  readonly revoked?: { readonly at: number; readonly pending: number };
  /** Only while `awaiting_approval`: relays that are not known, and why they have to be approved. */
  readonly approval?: { readonly servers: readonly string[]; readonly reason: string };
}

/** What to send. */
export interface SendParams {
  /** Absolute path of the source. */
  readonly path: string;
  /** Name for the recipients, at most 255 bytes; the source's unless given. */
  readonly fileName?: string;
  /** How many recipients to hand out descriptions for; 1 unless given. Rounded up to a power of two, the rest is spare. */
  readonly recipients?: number;
  /** Server addresses, perhaps with password; the enabled servers unless given. */
  readonly servers?: readonly string[];
  /** On how many relays to put each chunk, 1 to 8; the setting `replicas` unless given. */
  readonly replicas?: number;
  /** The send is completed when each chunk is on so many relays, and the others follow; all of them unless given. */
  readonly replicasRequired?: number;
  /** Copy the source first, so that it may change or go at once; true unless told otherwise. */
  readonly snapshot?: boolean;
  readonly redirect?: RedirectPolicy;
  readonly priority?: number;
  /** Milliseconds since 1970. */
  readonly deadline?: number;
  /** Bytes per second, besides what all transfers are held to. */
  readonly limit?: number;
  /** What may share connections with it, if that is less than the setting says. */
  readonly isolation?: Isolation;
  readonly clientRef?: string;
}

/** What to receive: exactly one of `description` (YAML) and `link`. */
export interface ReceiveParams {
  readonly description?: string;
  readonly link?: string;
  /** Absolute path of an existing folder; the agent's folder for downloads unless given. */
  readonly directory?: string;
  /** The sender's name for it, made safe, unless given. */
  readonly fileName?: string;
  /** `rename` unless given. */
  readonly onConflict?: OnConflict;
  /** Whether relays that are not in the server list may see this machine's address. */
  readonly approveRelays?: 'known' | 'all' | 'ask';
  /** Tell the relays when the file is there, which ends the use of the description; false unless given. */
  readonly acknowledge?: boolean;
  readonly priority?: number;
  readonly deadline?: number;
  readonly limit?: number;
  readonly isolation?: Isolation;
  readonly clientRef?: string;
}

/** What a description or a link says. */
export interface InspectResult {
  readonly party: 'recipient' | 'sender';
  readonly encryptedSize: number;
  readonly chunks: number;
  /** Bytes on each server. */
  readonly servers: readonly { readonly address: string; readonly bytes: number; readonly known: boolean }[];
  /** Present for a redirect: size of the encrypted file that it leads to. */
  readonly redirect?: { readonly encryptedSize: number };
}

/** What to hand to one recipient. */
export interface RecipientDescription {
  /** From 1. */
  readonly number: number;
  /** YAML. */
  readonly description: string;
  /** `simplex:/file#…` */
  readonly link: string;
  /** `https://…#…` */
  readonly webLink: string;
  /** Whether the links lead to the description on a relay instead of carrying it. */
  readonly redirect: boolean;
  /** Whether `link` fits a QR code. */
  readonly fitsQrCode: boolean;
}

/** The descriptions of a completed send. */
export interface DescriptionsResult {
  /** YAML; lets its holder delete the file. */
  readonly sender: string;
  /** Those handed out. */
  readonly recipients: readonly RecipientDescription[];
  readonly spare: number;
}

/** What can be set while the agent runs. */
export interface Settings {
  /** Most chunks under way on one server. */
  readonly chunksPerServer: number;
  /** Most chunks under way in all. */
  readonly chunksTotal: number;
  /** How files are cut: as official programs do, or in chunks of at most 256 KiB for links that break often. */
  readonly chunkSizes: 'normal' | 'small';
  /** Bytes per second over all transfers; null for no limit. */
  readonly uploadLimit: number | null;
  readonly downloadLimit: number | null;
  /** Largest source, in bytes. */
  readonly maxFileSize: number;
  /** On how many relays sends put each chunk unless they say otherwise. */
  readonly replicas: number;
  /** How long a transfer is tried unless it says otherwise, in hours. */
  readonly deadlineHours: number;
  /** Events are kept for so many days and up to this number. */
  readonly eventDays: number;
  readonly eventCount: number;
  /** Finished transfers are removed after so many days; null to keep them. */
  readonly transferDays: number | null;
  /** What `transfers.receive` does about unknown relays unless told. */
  readonly approveRelays: 'known' | 'all' | 'ask';
  /** SOCKS5 proxy that relays are reached through, as `host:port`; null for none. */
  readonly socksProxy: string | null;
  /** What goes through the proxy: everything, or only connections to onion hosts. */
  readonly socksMode: SocksMode;
  /** Which hosts of an address are used when there is a proxy. */
  readonly onionHosts: OnionPolicy;
  /** Connections to one relay are shared by all transfers, by the chunks of one, or by nobody. */
  readonly isolation: Isolation;
  /** Whether open connections carry requests at random times that mean nothing. */
  readonly coverTraffic: boolean;
}

/** What shares connections, and with Tor circuits. */
export type Isolation = (typeof ISOLATION_LEVELS)[number];

/** What a token may do: look, also start and steer transfers, or everything. */
export type TokenScope = 'read' | 'submit' | 'admin';

/** An access token, without its secret. */
export interface TokenInfo {
  readonly id: number;
  readonly name: string;
  readonly scope: TokenScope;
  /** Absolute folders that it may read from and save to; all of them if absent. */
  readonly folders?: readonly string[];
  readonly createdAt: number;
}

/** The agent at one moment. */
export interface AgentInfo {
  readonly version: string;
  readonly pid: number;
  readonly startedAt: number;
  readonly dataDir: string;
  readonly downloadsDir: string;
  readonly schemaVersion: number;
  readonly network: NetworkInfo;
  /** Number of transfers in each state. */
  readonly transfers: Readonly<Record<TransferState, number>>;
  /** Deletions and acknowledgements that relays have not been told yet. */
  readonly relayTasks: number;
  /** Address of the embedded relay, if there is one. */
  readonly embeddedRelay?: string;
  /** Sequence numbers of the oldest event kept and of the newest; 0 if there is none. */
  readonly events: { readonly oldest: number; readonly newest: number };
}

/** What the agent believes about the network. */
export interface NetworkInfo {
  readonly online: boolean;
  /** Whether a client said so (`agent.setNetwork`), or the agent found out by itself. */
  readonly source: 'client' | 'observed';
  /** Whether traffic is costly; told by a client. */
  readonly metered: boolean;
}

/** Durable events, by type, with their data. Each is written together with the change that it tells of. */
export interface DurableEvents {
  'transfer.created': { readonly transfer: TransferInfo };
  /** Every change of state; the last one of a run is followed by `transfer.completed` or `transfer.failed`. */
  'transfer.state': {
    readonly from: TransferState;
    readonly to: TransferState;
    readonly waitingReason?: WaitingReason;
    readonly failure?: FailureInfo;
  };
  /** Exactly one for a run that succeeds. */
  'transfer.completed': { readonly transfer: TransferInfo };
  /** Exactly one for a run that fails. */
  'transfer.failed': { readonly transfer: TransferInfo; readonly failure: FailureInfo };
  /** Something to know although the transfer goes on; `security` for a relay that is not who it should be. */
  'transfer.warning': {
    readonly warning: 'security' | 'relay';
    readonly failure: FailureInfo;
    readonly server?: string;
  };
  'transfer.approval': { readonly servers: readonly string[]; readonly reason: string };
  'transfer.recipients': { readonly handedOut: number; readonly spare: number };
  /**
   * No more copies of a completed send come: all are there, or the rest was given up. `complete` is on how many relays
   * each chunk is at least; `uploaded` and `missing` count copies of chunks.
   */
  'transfer.replicated': {
    readonly wanted: number;
    readonly complete: number;
    readonly uploaded: number;
    readonly missing: number;
    readonly failure?: FailureInfo;
  };
  'transfer.revoked': { readonly pending: number };
  /** The last deletion on relays was done, or given up. */
  'transfer.deleted': { readonly deleted: number; readonly failed: number };
  'transfer.removed': Readonly<Record<string, never>>;
  'network.changed': { readonly network: NetworkInfo };
  'settings.changed': { readonly settings: Settings };
  'servers.changed': Readonly<Record<string, never>>;
}

export type DurableEventType = keyof DurableEvents;

/** Events of a transfer tell of which one. */
type About<T extends DurableEventType> = T extends `transfer.${string}`
  ? { readonly transferId: string }
  : { readonly transferId?: string };

/** A durable event: `seq` grows by exactly one from event to event. */
export type DurableEvent = {
  [T in DurableEventType]: {
    readonly seq: number;
    readonly at: number;
    readonly type: T;
    readonly data: DurableEvents[T];
  } & About<T>;
}[DurableEventType];

/** How a transfer moves: at most four a second for each, never kept, without a number. */
export interface ProgressEvent {
  readonly at: number;
  readonly type: 'transfer.progress';
  readonly transferId: string;
  readonly data: {
    readonly state: TransferState;
    readonly bytesDone: number;
    readonly bytesTotal: number;
    /** Smoothed; bytes per second. */
    readonly bytesPerSecond: number;
    /** Estimate; absent while it cannot be told. */
    readonly secondsLeft?: number;
  };
}

export type AgentEvent = DurableEvent | ProgressEvent;

/** A page of a list. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Pass it as `cursor` to get the next page; absent on the last one. */
  readonly nextCursor?: string;
}
