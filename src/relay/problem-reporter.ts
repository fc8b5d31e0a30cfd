import { errorCode } from '../system/index.js';
import { describeFileError } from './file-errors.js';
import type { WrongStart } from './services.js';

/** The same trouble is told once in this time, in ms: a full disk meets every upload. */
const REPEAT_MS = 60_000;
/** Kinds of trouble remembered; there are few, as each is an error code of the system. */
const MAX_REMEMBERED = 100;

/** A failure of the relay itself, as plain data. */
export interface Problem {
  /** What it is told from others by. */
  readonly kind: string;
  /** For the operator. */
  readonly sentence: string;
}

/** An error that stands for a problem which another process of the relay has had. */
export class ProblemElsewhere extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.sentence);
    this.name = 'ProblemElsewhere';
    this.problem = problem;
  }
}

/** Tells the operator of the relay's own failures. */
export interface ProblemReporter {
  /** To be told of each; passes them on without repeating itself. */
  readonly tell: (problem: Problem) => void;
  /** How many there were. */
  readonly count: () => number;
}

/** Makes a reporter for the failures of requests. */
export function problemReporter(report: (problem: string) => void, now: () => number): ProblemReporter {
  const tell = withoutRepeating(report, now);
  let count = 0;
  return {
    tell: (problem) => {
      count += 1;
      tell(problem);
    },
    count: () => count,
  };
}

/** An error that came up while a request was carried out. */
export function describeProblem(error: unknown): Problem {
  if (error instanceof ProblemElsewhere) return error.problem;
  return {
    kind: errorCode(error) ?? (error instanceof Error ? error.name : 'unknown'),
    sentence: describeFileError(error, 'The relay could not carry out a request').message,
  };
}

/** Makes the function that is told why TLS handshakes fail. Nothing is said of who it was. */
export function tlsReporter(report: (problem: string) => void, now: () => number): (reason: string) => void {
  const tell = withoutRepeating(report, now);
  return (reason) => {
    tell({ kind: reason, sentence: `A TLS handshake failed: ${reason}.` });
  };
}

/** Why a TLS handshake failed, in few words. */
export function tlsFailureReason(error: Error): string {
  const reason = 'reason' in error && typeof error.reason === 'string' ? error.reason : undefined;
  return reason ?? errorCode(error) ?? 'unknown reason';
}

/** Makes the function that is told of what only a wrong proxy in front of the relay sends: it says so once each. */
export function proxyReporter(report: (problem: string) => void): (first: WrongStart) => void {
  const said = new Set<WrongStart>();
  return (first) => {
    if (said.has(first)) return;
    said.add(first);
    report(PROXY_ADVICE[first]);
  };
}

const PROXY_ADVICE: Readonly<Record<WrongStart, string>> = {
  http:
    'HTTP without TLS came to the port of the relay and was refused: if a proxy stands in front of it, let it pass ' +
    'TLS connections through as they are (TCP mode), since clients check the certificate of the relay itself.',
  'proxy-protocol':
    'A proxy in front of the relay sends the PROXY protocol, which the relay does not speak: turn it off there.',
};

function withoutRepeating(report: (problem: string) => void, now: () => number): (problem: Problem) => void {
  const lastTold = new Map<string, number>();
  return ({ kind, sentence }) => {
    const last = lastTold.get(kind);
    if (last !== undefined && now() - last < REPEAT_MS) return;
    if (lastTold.size >= MAX_REMEMBERED) lastTold.clear();
    lastTold.set(kind, now());
    report(sentence);
  };
}
