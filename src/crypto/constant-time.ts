import { timingSafeEqual } from 'node:crypto';

/** Whether two byte arrays hold the same bytes; takes as long for a wrong first byte as for a wrong last one. */
export function constantTimeEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
