import { errorCode } from '../system/index.js';
import { describeFileError } from './file-errors.js';

/** The same trouble is told once in this time, in ms: a full disk meets every upload. */
const REPEAT_MS = 60_000;
/** Kinds of trouble remembered; there are few, as each is an error code of the system. */
const MAX_REMEMBERED = 100;

/** Tells the operator of the relay's own failures. */
export interface ProblemReporter {
  /** To be told of each; passes them on as sentences, without repeating itself. */
  readonly failed: (error: unknown) => void;
  /** How many there were. */
  readonly count: () => number;
}

/** Makes a reporter for the failures of requests. */
export function problemReporter(report: (problem: string) => void, now: () => number): ProblemReporter {
  const tell = withoutRepeating(report, now);
  let count = 0;
  return {
    failed: (error) => {
      count += 1;
      const kind = errorCode(error) ?? (error instanceof Error ? error.name : 'unknown');
      tell(kind, () => describeFileError(error, 'The relay could not carry out a request').message);
    },
    count: () => count,
  };
}

/** Makes the function that is told of TLS handshakes that fail. Nothing is said of who it was. */
export function tlsReporter(report: (problem: string) => void, now: () => number): (error: Error) => void {
  const tell = withoutRepeating(report, now);
  return (error) => {
    const reason = 'reason' in error && typeof error.reason === 'string' ? error.reason : undefined;
    const kind = reason ?? errorCode(error) ?? 'unknown reason';
    tell(kind, () => `A TLS handshake failed: ${kind}.`);
  };
}

function withoutRepeating(
  report: (problem: string) => void,
  now: () => number,
): (kind: string, sentence: () => string) => void {
  const lastTold = new Map<string, number>();
  return (kind, sentence) => {
    const last = lastTold.get(kind);
    if (last !== undefined && now() - last < REPEAT_MS) return;
    if (lastTold.size >= MAX_REMEMBERED) lastTold.clear();
    lastTold.set(kind, now());
    report(sentence());
  };
}
