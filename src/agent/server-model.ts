import type { FailureKind } from '../protocol/index.js';
import type { FailureInfo } from './model.js';
import type { SERVER_ROLES } from './server-store.js';

// What the agent tells about servers: plain data, as it also goes over the RPC.

/** A relay to send through and to receive from without asking. */
export interface ServerInfo {
  readonly id: number;
  readonly address: string;
  readonly hasPassword: boolean;
  /** Whether files are sent through it, if that is one of its roles. */
  readonly enabled: boolean;
  readonly operator?: string;
  readonly roles: readonly ServerRole[];
  /** Of those that files can be sent through, the ones with the highest come first; from -10 to 10. */
  readonly priority: number;
  /** Whether requests go there now, wait after failures, or it is being tried again. */
  readonly gate: 'open' | 'closed' | 'probing';
  /** When a closed gate is tried next. */
  readonly retryAt?: number;
}

/** What a server is for: files are sent through it; downloads from it need no approval. */
export type ServerRole = (typeof SERVER_ROLES)[number];

/** One step of a server test. */
export interface ServerTestStep {
  readonly step:
    | 'name'
    | 'proxy'
    | 'tcp'
    | 'tls'
    | 'identity'
    | 'handshake'
    | 'create'
    | 'upload'
    | 'download'
    | 'compare'
    | 'delete';
  readonly ok: boolean;
  readonly ms: number;
  readonly failure?: FailureInfo;
}

/** Outcome of a server test; it ends with the first step that fails. */
export interface ServerTestResult {
  readonly address: string;
  readonly ok: boolean;
  readonly steps: readonly ServerTestStep[];
}

/** What was measured about one server since the database was made. */
export interface ServerStats {
  readonly address: string;
  readonly actions: readonly {
    readonly action: ServerAction;
    readonly attempts: number;
    readonly successes: number;
    readonly bytes: number;
    /** Mean over the successes, in ms. */
    readonly meanMs: number;
  }[];
  readonly failures: readonly {
    readonly kind: FailureKind;
    readonly count: number;
    readonly lastAt: number;
  }[];
}

/** What the agent asks of relays. */
export type ServerAction = 'create' | 'upload' | 'download' | 'delete' | 'acknowledge';
