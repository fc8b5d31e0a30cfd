import { sodium } from './sodium.js';

/** Length of a Poly1305 tag, in bytes. */
export const TAG_LENGTH = 16;

/** A Poly1305 tag of bytes that come in pieces (RFC 8439, section 2.5). */
export interface Poly1305 {
  /** Adds the next piece, of any length. */
  update(bytes: Uint8Array): void;
  /** The tag of all pieces: 16 bytes. Ends the use of this object. */
  finish(): Uint8Array;
}

/** Starts a Poly1305 tag under a 32-byte key, which must never be used for another message. */
export function createPoly1305(key: Uint8Array): Poly1305 {
  const state = new Uint8Array(sodium().crypto_onetimeauth_STATEBYTES);
  sodium().crypto_onetimeauth_init(state, key);
  return {
    update(bytes): void {
      sodium().crypto_onetimeauth_update(state, bytes);
    },
    finish(): Uint8Array {
      const tag = new Uint8Array(TAG_LENGTH);
      sodium().crypto_onetimeauth_final(state, tag);
      return tag;
    },
  };
}
