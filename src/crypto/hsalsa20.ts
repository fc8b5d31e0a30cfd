import nacl from 'tweetnacl';

interface LowLevel {
  crypto_core_hsalsa20(output: Uint8Array, input: Uint8Array, key: Uint8Array, constant: Uint8Array): void;
}

// The declarations of tweetnacl leave out `lowlevel`, which its documentation names.
const { lowlevel } = nacl as typeof nacl & { readonly lowlevel: LowLevel };

/** The constant of Salsa20 with keys of 32 bytes. */
const SIGMA = new TextEncoder().encode('expand 32-byte k');

/** HSalsa20 of a 32-byte key and 16 bytes of input: a new 32-byte key (Bernstein, Extending the Salsa20 nonce). */
export function hsalsa20(key: Uint8Array, input: Uint8Array): Uint8Array {
  const output = new Uint8Array(32);
  lowlevel.crypto_core_hsalsa20(output, input, key, SIGMA);
  return output;
}
