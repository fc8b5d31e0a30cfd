import { concatBytes } from '../protocol/index.js';
import { constantTimeEqual } from './constant-time.js';
import { TAG_LENGTH } from './poly1305.js';
import { SecretBoxStream } from './secretbox-stream.js';

// Whole messages in the two layouts of the protocol reference, section 0.4. The secret is 32 bytes, the nonce 24;
// other lengths are XftpError INVALID_KEY. A wrong tag gives undefined, as only the caller knows what that means.

/** Encrypts a message: tag (16 bytes), then ciphertext. */
export function sealTagFirst(secret: Uint8Array, nonce: Uint8Array, message: Uint8Array): Uint8Array {
  const { ciphertext, tag } = seal(secret, nonce, message);
  return concatBytes(tag, ciphertext);
}

/** Encrypts a message: ciphertext, then tag (16 bytes). */
export function sealTagLast(secret: Uint8Array, nonce: Uint8Array, message: Uint8Array): Uint8Array {
  const { ciphertext, tag } = seal(secret, nonce, message);
  return concatBytes(ciphertext, tag);
}

/** The message of `sealTagLast`, or undefined if the tag is wrong or missing. */
export function openTagLast(
  secret: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  const end = Math.max(sealed.length - TAG_LENGTH, 0);
  return open(secret, nonce, new Uint8Array(sealed.subarray(0, end)), sealed.subarray(end));
}

function seal(
  secret: Uint8Array,
  nonce: Uint8Array,
  message: Uint8Array,
): { ciphertext: Uint8Array; tag: Uint8Array } {
  const stream = new SecretBoxStream(secret, nonce);
  const ciphertext = new Uint8Array(message);
  stream.xor(ciphertext, 0);
  return { ciphertext, tag: tagOf(stream, ciphertext) };
}

/** Decrypts the ciphertext in place if the tag is right. */
function open(
  secret: Uint8Array,
  nonce: Uint8Array,
  ciphertext: Uint8Array,
  tag: Uint8Array,
): Uint8Array | undefined {
  const stream = new SecretBoxStream(secret, nonce);
  if (!constantTimeEqual(tagOf(stream, ciphertext), tag)) return undefined;
  stream.xor(ciphertext, 0);
  return ciphertext;
}

function tagOf(stream: SecretBoxStream, ciphertext: Uint8Array): Uint8Array {
  const tag = stream.tag();
  tag.update(ciphertext);
  return tag.finish();
}
