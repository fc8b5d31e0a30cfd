import { type FailureCode, failureNumber } from '../protocol/index.js';

/** Everything went well. */
export const EXIT_OK = 0;
/** Wrong usage, and everything without a code of its own; the reference uses it for every failure. */
export const EXIT_FAILURE = 1;
/** Interrupted by SIGINT, as shells expect it; the number of CANCELLED too. */
export const EXIT_INTERRUPTED = 130;

/** The exit code that goes with a failure, so that scripts can tell them apart. */
export function exitCodeOf(code: FailureCode): number {
  return failureNumber(code);
}
