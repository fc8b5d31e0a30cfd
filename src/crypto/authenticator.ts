import { DIGEST_LENGTH, sha512 } from './digest.js';
import { constantTimeEqual } from './constant-time.js';
import { TAG_LENGTH } from './poly1305.js';
import { BOX_NONCE_LENGTH } from './secretbox-stream.js';
import { sealTagFirst } from './secretbox.js';

/** Length of a deniable authenticator, in bytes: a tag and an encrypted SHA-512. */
export const AUTHENTICATOR_LENGTH = TAG_LENGTH + DIGEST_LENGTH.sha512;

/**
 * The deniable authenticator of a command (protocol reference, section 4.2): 80 bytes that both owners of the
 * secret can make, so that neither can prove to others who did.
 *
 * @param secret the raw X25519 secret of the command's key and the relay's session key: 32 bytes
 * @param correlationId the command's, whose first 24 bytes are the nonce: must be fresh for each command
 * @param authorized the bytes of the transmission that are authorized
 */
export function createAuthenticator(
  secret: Uint8Array,
  correlationId: Uint8Array,
  authorized: Uint8Array,
): Uint8Array {
  return sealTagFirst(secret, nonceOf(correlationId), sha512(authorized));
}

/** Whether `authenticator` is the one that `createAuthenticator` makes of the same arguments. */
export function verifyAuthenticator(
  secret: Uint8Array,
  correlationId: Uint8Array,
  authorized: Uint8Array,
  authenticator: Uint8Array,
): boolean {
  return constantTimeEqual(createAuthenticator(secret, correlationId, authorized), authenticator);
}

/** The correlation ID, filled up with zeroes or cut to the length of a nonce. */
function nonceOf(correlationId: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(BOX_NONCE_LENGTH);
  nonce.set(correlationId.subarray(0, BOX_NONCE_LENGTH));
  return nonce;
}
