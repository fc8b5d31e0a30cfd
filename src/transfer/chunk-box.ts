import { constantTimeEqual, createDigest, SecretBoxStream, TAG_LENGTH } from '../crypto/index.js';
import { XftpError } from '../protocol/index.js';
import { piecesOf } from './pieces.js';

/** A downloaded chunk and what opens its box. */
export interface DownloadedChunk {
  /** From 0. */
  readonly index: number;
  /** The box: ciphertext of the chunk, then 16 bytes of tag. It is decrypted in place. */
  readonly box: Uint8Array;
  /** 32 bytes. */
  readonly boxSecret: Uint8Array;
  /** 24 bytes. */
  readonly boxNonce: Uint8Array;
  /** SHA-256 of the chunk, from the description. */
  readonly digest: Uint8Array;
}

/**
 * Opens the relay's box around a chunk in place and checks that it is the chunk of the description (protocol reference,
 * section 5.4).
 *
 * @throws XftpError CHUNK_TAG or CHUNK_DIGEST: the chunk must be downloaded again
 */
export function openChunkBox({ index, box, boxSecret, boxNonce, digest }: DownloadedChunk): void {
  const opened = openBox(boxSecret, boxNonce, box);
  if (opened === undefined)
    throw new XftpError(
      'CHUNK_TAG',
      `Part ${String(index + 1)} of the file was changed on its way from the relay.`,
    );
  if (!constantTimeEqual(opened.digest, digest))
    throw new XftpError(
      'CHUNK_DIGEST',
      `Part ${String(index + 1)} of the file is not what the sender uploaded: the relay changed or mixed it up.`,
    );
}

/** SHA-256 of what is in the box, or undefined when the box's tag is wrong. */
function openBox(
  secret: Uint8Array,
  nonce: Uint8Array,
  box: Uint8Array,
): { readonly digest: Uint8Array } | undefined {
  const end = Math.max(0, box.length - TAG_LENGTH);
  const stream = new SecretBoxStream(secret, nonce);
  const tag = stream.tag();
  const digest = createDigest('sha256');
  let offset = 0;
  for (const piece of piecesOf(box.subarray(0, end))) {
    tag.update(piece);
    stream.xor(piece, offset);
    digest.update(piece);
    offset += piece.length;
  }
  return constantTimeEqual(tag.finish(), box.subarray(end)) ? { digest: digest.digest() } : undefined;
}
