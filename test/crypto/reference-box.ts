import { poly1305 } from '@noble/ciphers/_poly1305.js';
import { hsalsa, xsalsa20 } from '@noble/ciphers/salsa.js';

// The secret box of the protocol reference, section 0.4, once more, with nothing but @noble/ciphers.

const SIGMA = words(new TextEncoder().encode('expand 32-byte k'));

/** HSalsa20(secret, 16 zero bytes): what makes the box differ from NaCl's. */
export function firstSubkey(secret: Uint8Array): Uint8Array {
  const output = new Uint32Array(8);
  hsalsa(SIGMA, words(secret), new Uint32Array(4), output);
  return new Uint8Array(output.buffer);
}

/** `length` keystream bytes from byte `position` on, counted from the start of block 0. */
export function keystream(
  secret: Uint8Array,
  nonce: Uint8Array,
  position: number,
  length: number,
): Uint8Array {
  const skipped = position % 64;
  const zeroes = new Uint8Array(skipped + length);
  const block = Math.floor(position / 64);
  return xsalsa20(firstSubkey(secret), nonce, zeroes, undefined, block).subarray(skipped);
}

/** Poly1305 of a whole ciphertext under the box's key. */
export function tagOf(secret: Uint8Array, nonce: Uint8Array, ciphertext: Uint8Array): Uint8Array {
  return poly1305(ciphertext, keystream(secret, nonce, 0, 32));
}

/** XOR of two arrays of the same length. */
export function xorBytes(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((byte, index) => byte ^ (b[index] ?? 0));
}

function words(bytes: Uint8Array): Uint32Array {
  const copy = new Uint8Array(bytes);
  return new Uint32Array(copy.buffer);
}
