import { randomFillSync } from 'node:crypto';

/** `length` fresh bytes of the system's random source, fit for keys, nonces and identifiers. */
export function randomBytes(length: number): Uint8Array {
  return randomFillSync(new Uint8Array(length));
}
