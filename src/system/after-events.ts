/**
 * Runs `end`, which ends an HTTP/2 session, outside of the events of HTTP/2. The caller may be within one, even when it
 * has awaited a promise; ending a session there, Node would free streams that it is reading from, which corrupts memory.
 */
export function afterEvents(end: () => void): void {
  setImmediate(end);
}
