import { errorCode } from '../system/index.js';
import { describeFileError } from './file-errors.js';

/** The same trouble is told once in this time, in ms: a full disk meets every upload. */
const REPEAT_MS = 60_000;
/** Kinds of trouble remembered; there are few, as each is an error code of the system. */
const MAX_REMEMBERED = 100;

/** Makes the function that is told of the relay's own failures and passes them on as sentences, without repeating itself. */
export function problemReporter(
  report: (problem: string) => void,
  now: () => number,
): (error: unknown) => void {
  const lastTold = new Map<string, number>();
  return (error) => {
    const kind = errorCode(error) ?? (error instanceof Error ? error.name : 'unknown');
    const last = lastTold.get(kind);
    if (last !== undefined && now() - last < REPEAT_MS) return;
    if (lastTold.size >= MAX_REMEMBERED) lastTold.clear();
    lastTold.set(kind, now());
    report(describeFileError(error, 'The relay could not carry out a request').message);
  };
}
