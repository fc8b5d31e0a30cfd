import { sodium } from './sodium.js';
import { XftpError } from '../protocol/index.js';
import { hsalsa20 } from './hsalsa20.js';
import { createPoly1305, type Poly1305 } from './poly1305.js';

/** Length of the secret of a box, a symmetric key or a raw X25519 secret, in bytes. */
export const BOX_SECRET_LENGTH = 32;
/** Length of the nonce of a box, in bytes. */
export const BOX_NONCE_LENGTH = 24;
/** Most bytes of one box: 256 GiB, where the 32-bit block counter of the native cipher ends. */
export const MAX_BOX_LENGTH = 2 ** 38 - 32;

const BLOCK_LENGTH = 64;
/** The first keystream bytes are the Poly1305 key; those of the message follow, in the middle of a block. */
const TAG_KEY_LENGTH = 32;
const ZERO_INPUT = new Uint8Array(16);

/**
 * The SimpleX secret box as a stream that can be entered anywhere (protocol reference, section 0.4):
 * XSalsa20 under HSalsa20(secret, 0), with a Poly1305 tag over the ciphertext.
 */
export class SecretBoxStream {
  readonly #key: Uint8Array;
  readonly #nonce: Uint8Array;
  readonly #block = new Uint8Array(BLOCK_LENGTH);

  /**
   * @param secret 32 bytes: a symmetric key or a raw X25519 secret
   * @param nonce 24 bytes, never used twice with the same secret
   * @throws XftpError INVALID_KEY when either has another length.
   */
  constructor(secret: Uint8Array, nonce: Uint8Array) {
    if (secret.length !== BOX_SECRET_LENGTH || nonce.length !== BOX_NONCE_LENGTH)
      throw new XftpError('INVALID_KEY', 'A secret box needs a key of 32 and a nonce of 24 bytes.');
    this.#key = hsalsa20(hsalsa20(secret, ZERO_INPUT), nonce.subarray(0, 16));
    this.#nonce = new Uint8Array(nonce.subarray(16));
  }

  /**
   * Encrypts or decrypts `bytes`, in place or into `output`, which is as long. `offset` is where their first byte stands
   * in the message, in bytes; the tag is not counted.
   *
   * @throws XftpError FILE_TOO_LARGE when they reach beyond MAX_BOX_LENGTH.
   */
  xor(bytes: Uint8Array, offset: number, output: Uint8Array = bytes): void {
    if (!Number.isSafeInteger(offset) || offset < 0)
      throw new XftpError('INVALID_ARGUMENT', `${String(offset)} is no position in a message.`);
    if (output.length !== bytes.length)
      throw new XftpError('INVALID_ARGUMENT', 'The output must be as long as the input.');
    if (offset + bytes.length > MAX_BOX_LENGTH)
      throw new XftpError('FILE_TOO_LARGE', 'A file of more than 256 GiB cannot be encrypted as one.');
    const position = TAG_KEY_LENGTH + offset;
    const skipped = position % BLOCK_LENGTH;
    const head = skipped === 0 ? 0 : Math.min(BLOCK_LENGTH - skipped, bytes.length);
    const block = Math.floor(position / BLOCK_LENGTH);
    if (head > 0) this.#xorWithinBlock(bytes.subarray(0, head), block, skipped, output);
    if (head < bytes.length)
      this.#xorBlocks(bytes.subarray(head), skipped === 0 ? block : block + 1, output.subarray(head));
  }

  /** Starts the tag of the message, to be fed with the whole ciphertext in order. */
  tag(): Poly1305 {
    const key = new Uint8Array(TAG_KEY_LENGTH);
    this.#xorBlocks(key, 0);
    return createPoly1305(key);
  }

  /** The bytes stand `skipped` bytes behind the start of the block and do not reach beyond it. */
  #xorWithinBlock(bytes: Uint8Array, block: number, skipped: number, output: Uint8Array): void {
    this.#block.set(bytes, skipped);
    this.#xorBlocks(this.#block, block);
    output.set(this.#block.subarray(skipped, skipped + bytes.length));
    this.#block.fill(0);
  }

  #xorBlocks(bytes: Uint8Array, firstBlock: number, output = bytes): void {
    sodium().crypto_stream_salsa20_xor_ic(output, bytes, this.#nonce, firstBlock, this.#key);
  }
}
