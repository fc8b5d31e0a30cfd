import type { FailureCode } from './failure.js';

/**
 * The number of each failure: the exit code of the programs and the error code of the RPC, so that both can be told
 * apart without reading names. Below 10: what the caller gave; from 10: the network; from 20: the relay refused; from
 * 30: the file on the relay; from 40: this machine; from 50: the agent refused. They never change their meaning.
 */
const NUMBER_OF: Readonly<Record<FailureCode, number>> = {
  INVALID_ENCODING: 2,
  INVALID_BLOCK: 2,
  INVALID_KEY: 2,
  INVALID_CERTIFICATE: 2,
  INVALID_SIZE: 2,
  INVALID_ADDRESS: 3,
  INVALID_DESCRIPTION: 4,
  INVALID_LINK: 5,
  INVALID_CONFIG: 6,
  INVALID_ARGUMENT: 7,
  NOT_FOUND: 8,
  ILLEGAL_STATE: 9,

  CONNECT_FAILED: 10,
  TLS_FAILED: 11,
  CONNECTION_LOST: 12,
  STALLED: 13,
  RELAY_TEMPORARY: 14,
  RELAY_PROTOCOL: 15,
  RELAY_VERSION: 16,
  IDENTITY_MISMATCH: 17,
  AGENT_UNREACHABLE: 18,
  TOR_REQUIRED: 19,

  RELAY_REFUSED: 20,
  RELAY_FULL: 21,
  RELAY_SIZE: 22,
  RELAY_ERROR: 23,
  PROXY_FAILED: 24,

  CHUNK_GONE: 30,
  CHUNK_MISSING: 31,
  CHUNK_SIZE: 32,
  CHUNK_DIGEST: 33,
  CHUNK_TAG: 34,
  FILE_CORRUPT: 35,
  CHUNK_BLOCKED: 36,
  REDIRECT_MISMATCH: 37,
  DEADLINE_PASSED: 38,
  NOT_APPROVED: 39,

  FILE_TOO_LARGE: 40,
  SOURCE_MISSING: 41,
  SOURCE_CHANGED: 42,
  FILE_EXISTS: 43,
  DISK_FULL: 44,
  NO_PERMISSION: 45,
  ADDRESS_IN_USE: 46,
  LOCAL_IO: 47,
  ALREADY_RUNNING: 48,
  DATABASE_UNUSABLE: 49,

  UNAUTHENTICATED: 50,
  FORBIDDEN: 51,
  LIMIT_EXCEEDED: 52,

  // As shells report a program that SIGINT ended.
  CANCELLED: 130,
};

/** The number that goes with a failure. */
export function failureNumber(code: FailureCode): number {
  return NUMBER_OF[code];
}
