/**
 * What a failure means for the transfer that met it; retry decisions rest on nothing else.
 *
 * - `invalid`: bytes or text that cannot be read (a bad address, description, link, block, option)
 * - `temporary`: the same step may work later
 * - `identity`: the relay is not the one its address names; never retried silently
 * - `refused`: this relay does not take the chunk, or cannot be used from here; another one may do
 * - `gone`: expired, deleted, acknowledged, or never ours
 * - `corrupt`: the relay handed out other bytes than were uploaded
 * - `permanent`: no retry and no other relay helps
 * - `local`: this machine's disk, files or permissions
 * - `cancelled`: the caller asked to stop
 */
export type FailureKind =
  'invalid' | 'temporary' | 'identity' | 'refused' | 'gone' | 'corrupt' | 'permanent' | 'local' | 'cancelled';

/** Every failure code of the project with its kind. */
const KIND_OF = {
  INVALID_ENCODING: 'invalid',
  INVALID_BLOCK: 'invalid',
  INVALID_KEY: 'invalid',
  INVALID_CERTIFICATE: 'invalid',
  INVALID_SIZE: 'invalid',
  INVALID_ADDRESS: 'invalid',
  INVALID_DESCRIPTION: 'invalid',
  INVALID_LINK: 'invalid',
  INVALID_CONFIG: 'invalid',
  INVALID_ARGUMENT: 'invalid',
  NOT_FOUND: 'invalid',
  ILLEGAL_STATE: 'invalid',
  UNAUTHENTICATED: 'invalid',
  FORBIDDEN: 'invalid',
  LIMIT_EXCEEDED: 'invalid',

  CONNECT_FAILED: 'temporary',
  PROXY_FAILED: 'temporary',
  TLS_FAILED: 'temporary',
  CONNECTION_LOST: 'temporary',
  STALLED: 'temporary',
  RELAY_TEMPORARY: 'temporary',
  RELAY_PROTOCOL: 'temporary',
  AGENT_UNREACHABLE: 'temporary',

  IDENTITY_MISMATCH: 'identity',

  RELAY_REFUSED: 'refused',
  RELAY_FULL: 'refused',
  RELAY_SIZE: 'refused',
  RELAY_VERSION: 'refused',
  TOR_REQUIRED: 'refused',

  CHUNK_GONE: 'gone',
  CHUNK_MISSING: 'gone',

  CHUNK_SIZE: 'corrupt',
  CHUNK_DIGEST: 'corrupt',
  CHUNK_TAG: 'corrupt',

  FILE_CORRUPT: 'permanent',
  CHUNK_BLOCKED: 'permanent',
  RELAY_ERROR: 'permanent',
  REDIRECT_MISMATCH: 'permanent',
  DEADLINE_PASSED: 'permanent',
  NOT_APPROVED: 'permanent',

  FILE_TOO_LARGE: 'local',
  SOURCE_MISSING: 'local',
  SOURCE_CHANGED: 'local',
  FILE_EXISTS: 'local',
  DISK_FULL: 'local',
  NO_PERMISSION: 'local',
  ADDRESS_IN_USE: 'local',
  ALREADY_RUNNING: 'local',
  DATABASE_UNUSABLE: 'local',
  LOCAL_IO: 'local',

  CANCELLED: 'cancelled',
} as const satisfies Record<string, FailureKind>;

/** A stable name for one way to fail; programs match on it, people read the message. */
export type FailureCode = keyof typeof KIND_OF;

/** All failure codes, for tables that must cover every one of them. */
export const FAILURE_CODES = Object.keys(KIND_OF) as readonly FailureCode[];

/** The kind of a failure code. */
export function failureKind(code: FailureCode): FailureKind {
  return KIND_OF[code];
}

/** What may accompany a failure. */
export interface FailureDetails {
  /** The error that led to this one. */
  readonly cause?: unknown;
  /** The relay's own error text, as received. */
  readonly wire?: string;
  /** What a person can do about it, beyond what the message says. */
  readonly hint?: string;
}

/** The one error class of the project. The message is a sentence for a person and never holds a secret. */
export class XftpError extends Error {
  override readonly name = 'XftpError';
  readonly code: FailureCode;
  /** The relay's own error text, when a relay's answer led to this failure. */
  readonly wire: string | undefined;
  /** What a person can do about it, where an agent has told. */
  readonly hint: string | undefined;

  constructor(code: FailureCode, message: string, details: FailureDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.wire = details.wire;
    this.hint = details.hint;
  }

  get kind(): FailureKind {
    return KIND_OF[this.code];
  }

  /** Whether the same step may succeed when it is tried again later. */
  get temporary(): boolean {
    return this.kind === 'temporary';
  }
}

/** Whether `error` is a failure of the project, optionally one with the given code. */
export function isXftpError(error: unknown, code?: FailureCode): error is XftpError {
  return error instanceof XftpError && (code === undefined || error.code === code);
}
