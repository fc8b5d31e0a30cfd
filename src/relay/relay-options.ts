import type { BodyStorage } from './body-storage.js';
import type { InactiveClients } from './config.js';
import type { RelayCredentials } from './credentials.js';
import type { FlushPolicy } from './flush-schedule.js';
import type { RelayLimits } from './limits.js';
import type { OperatorOptions } from './operator/operator-side.js';
import type { WebCertificate } from './web/web-certificate.js';

/** How a relay is to run. Only the folder of the chunks must be given: an embedded relay needs no more. */
export interface RelayOptions {
  /** Folder of the chunk bodies. */
  readonly filesPath: string;
  /** Who the relay is; a fresh Ed25519 identity unless given. */
  readonly credentials?: RelayCredentials;
  /** What browsers are shown; they are not served unless it is given. */
  readonly web?: WebOptions;
  /** Port to listen on, or several; 0, the default, lets the system choose. */
  readonly port?: number | readonly number[];
  /** Address to listen on, or several; all of the machine's, IPv6 and IPv4, unless given. */
  readonly listenHost?: string | readonly string[];
  /** Host names for the server address, separated by commas; `localhost` unless given. */
  readonly host?: string;
  /** File of the store log. Without one the relay forgets all chunks when it stops. */
  readonly storeLogPath?: string;
  /** Most bytes of chunk bodies; no limit unless given. */
  readonly storageQuota?: number;
  /** How long chunks are kept, in seconds; 48 hours unless given. */
  readonly chunkLifeSeconds?: number;
  /** Whether clients may make new chunks; they may unless told otherwise. */
  readonly newFiles?: boolean;
  /** What clients must know to make new chunks. */
  readonly createPassword?: string;
  /** When to close connections that nobody uses; never unless given. */
  readonly inactiveClients?: InactiveClients;
  /** When what clients are told of is forced to the disk; before they are told, unless given. */
  readonly fsync?: FlushPolicy;
  /** Statistics, control port and metrics; none unless given. */
  readonly operator?: OperatorOptions;
  /** Whether TLS handshakes that fail are reported, without a word of who it was; they are not unless told otherwise. */
  readonly logTlsErrors?: boolean;
  /** Chunk sizes to accept, in bytes; the protocol's four unless given. */
  readonly chunkSizes?: readonly number[];
  /** For tests: other limits than the usual ones. */
  readonly limits?: Partial<RelayLimits>;
  /** For tests: what clients are counted by, given the address of one. */
  readonly clientKey?: (address: string | undefined) => string | undefined;
  /** Where chunk bodies are instead of files in the folder, which then only tells relays apart. Not with workers. */
  readonly bodies?: BodyStorage;
  /**
   * Processes that serve connections beside this one, which keeps the records: the work with TLS and bodies then uses as
   * many cores. 1, the default, means that this process does all.
   */
  readonly connectionWorkers?: number;
  /** For tests: the current time in ms. */
  readonly now?: () => number;
  /** Told, in one sentence, of trouble that the operator should know: skipped log lines, a full disk. */
  readonly report?: (problem: string) => void;
  /** Stops the start, which may take long where there is a large store log. Has no effect on a relay at work. */
  readonly signal?: AbortSignal;
}

/** What browsers get of a relay. */
export interface WebOptions {
  /** What they are shown in TLS; without it they are only served over HTTP. */
  readonly certificate?: WebCertificate;
  /** Folder of the web pages; none unless given. */
  readonly pagesPath?: string;
  /** Port for the pages alone over HTTP, 0 for one of the system's choice; none unless given. */
  readonly httpPort?: number;
  /** The same over HTTPS, with the certificate. */
  readonly httpsPort?: number;
}
