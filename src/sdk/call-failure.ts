import { FAILURE_CODES, type FailureCode, XftpError } from '../protocol/index.js';

/** Failures that stand for the errors of JSON-RPC itself. */
const STANDARD: Readonly<Record<number, FailureCode>> = {
  [-32700]: 'INVALID_ARGUMENT',
  [-32600]: 'INVALID_ARGUMENT',
  [-32601]: 'INVALID_ARGUMENT',
  [-32602]: 'INVALID_ARGUMENT',
};
/** The agent met a bug, or is of another version and has a failure that is not known here. */
const UNKNOWN: FailureCode = 'LOCAL_IO';

/** The error member of an answer as a failure. */
export function failureOf(error: unknown): XftpError {
  const { code, message, data } = membersOf(error);
  const { code: name, hint, wire } = membersOf(data);
  const known = FAILURE_CODES.find((each) => each === name);
  const standard = typeof code === 'number' ? STANDARD[code] : undefined;
  return new XftpError(
    known ?? standard ?? UNKNOWN,
    typeof message === 'string' ? message : 'The agent answered with an error that says nothing.',
    { ...(typeof wire === 'string' ? { wire } : {}), ...(typeof hint === 'string' ? { hint } : {}) },
  );
}

interface ErrorMembers {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly data?: unknown;
  readonly hint?: unknown;
  readonly wire?: unknown;
}

function membersOf(value: unknown): ErrorMembers {
  return typeof value === 'object' && value !== null ? value : {};
}
