import {
  constantTimeEqual,
  createDigest,
  type Poly1305,
  type SecretBoxStream,
  TAG_LENGTH,
} from '../crypto/index.js';
import { XftpError } from '../protocol/index.js';

/** Verifies digest and tag of an encrypted file, fed with it in order. */
export class FileVerifier {
  readonly #tag: Poly1305;
  readonly #digest = createDigest('sha512');
  readonly #cipherLength: number;
  readonly #sentTag = new Uint8Array(TAG_LENGTH);
  #offset = 0;

  /** @param cipherLength length of the ciphertext, which the tag follows, in bytes */
  constructor(box: SecretBoxStream, cipherLength: number) {
    this.#tag = box.tag();
    this.#cipherLength = cipherLength;
  }

  /** Takes the next bytes of ciphertext and tag. */
  update(bytes: Uint8Array): void {
    this.#digest.update(bytes);
    const cipher = bytes.subarray(0, Math.max(0, this.#cipherLength - this.#offset));
    this.#tag.update(cipher);
    if (cipher.length < bytes.length)
      this.#sentTag.set(bytes.subarray(cipher.length), this.#offset + cipher.length - this.#cipherLength);
    this.#offset += bytes.length;
  }

  /**
   * Checks what was taken, which must be the whole.
   *
   * @param digest SHA-512 from the description
   * @throws XftpError FILE_CORRUPT
   */
  finish(digest: Uint8Array): void {
    if (!constantTimeEqual(this.#digest.digest(), digest))
      throw new XftpError(
        'FILE_CORRUPT',
        'The file is corrupted: its digest is not the one in the description.',
      );
    if (!constantTimeEqual(this.#tag.finish(), this.#sentTag))
      throw new XftpError(
        'FILE_CORRUPT',
        'The file is corrupted: it was not encrypted with the key in the description.',
      );
  }
}
