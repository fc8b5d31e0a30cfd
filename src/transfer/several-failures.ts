import { XftpError } from '../protocol/index.js';

/**
 * One failure that tells what each of several relays said.
 *
 * @param failures by address of the relay
 * @param last gives the code; it is given back as it is when no relays differ
 * @param headline what that means, as a sentence
 */
export function severalFailures<T extends XftpError | undefined>(
  failures: ReadonlyMap<string, XftpError>,
  last: T,
  headline = `${String(failures.size)} relays failed.`,
): T | XftpError {
  if (failures.size < 2 || last === undefined) return last;
  const said = [...failures].map(([server, { message }]) => `${server}: ${message}`).join(' ');
  return new XftpError(last.code, `${headline} ${said}`, { cause: last });
}

/** The headline of what relays said who all were asked for a chunk of a file that is received. */
export function noneCouldGive(relays: number, chunk: number): string {
  return `None of ${String(relays)} relays could give part ${String(chunk)} of this file.`;
}
