import { createRequire } from 'node:module';

/**
 * The functions of sodium-native that this project uses; the package has no declarations of its own.
 * Each throws an Error when an argument has a wrong length.
 */
interface Sodium {
  /** Fills `publicKey` (32 bytes) and `secretKey` (64 bytes: seed and public key) from `seed` (32 bytes). */
  crypto_sign_seed_keypair(publicKey: Uint8Array, secretKey: Uint8Array, seed: Uint8Array): void;
  /** Fills `signature` (64 bytes). `secretKey` is 64 bytes. */
  crypto_sign_detached(signature: Uint8Array, message: Uint8Array, secretKey: Uint8Array): void;
  /** `signature` must be 64 bytes, `publicKey` 32. */
  crypto_sign_verify_detached(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean;

  /** Fills `publicKey` (32 bytes). */
  crypto_scalarmult_base(publicKey: Uint8Array, privateKey: Uint8Array): void;
  /** Fills `shared` (32 bytes). Throws when the result is all zeroes. */
  crypto_scalarmult(shared: Uint8Array, privateKey: Uint8Array, publicKey: Uint8Array): void;

  /**
   * XORs `input` with the Salsa20 keystream from block `counter` on into `output`, which may be `input` itself.
   * The counter is taken modulo 2^32. `nonce` is 8 bytes, `key` 32.
   */
  crypto_stream_salsa20_xor_ic(
    output: Uint8Array,
    input: Uint8Array,
    nonce: Uint8Array,
    counter: number,
    key: Uint8Array,
  ): void;

  /** Length of the state of an incremental Poly1305, in bytes. */
  readonly crypto_onetimeauth_STATEBYTES: number;
  /** `key` is 32 bytes. */
  crypto_onetimeauth_init(state: Uint8Array, key: Uint8Array): void;
  crypto_onetimeauth_update(state: Uint8Array, input: Uint8Array): void;
  /** Fills `output` (16 bytes). */
  crypto_onetimeauth_final(state: Uint8Array, output: Uint8Array): void;
}

let loaded: Sodium | undefined;

/**
 * The native cryptography of libsodium, loaded when it is first used: it takes as long as half of what a command needs
 * that only shows something. It is loaded as what it is, a CommonJS module: imported as an ES module, Node would first
 * search its whole text for export names, in every thread again.
 */
export function sodium(): Sodium {
  loaded ??= createRequire(import.meta.url)('sodium-native') as Sodium;
  return loaded;
}
