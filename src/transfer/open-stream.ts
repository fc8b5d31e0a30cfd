import {
  constantTimeEqual,
  createDigest,
  type Poly1305,
  SecretBoxStream,
  TAG_LENGTH,
} from '../crypto/index.js';
import {
  decodePlaintextPrefix,
  LENGTH_PREFIX_SIZE,
  MAX_HEADER_LENGTH,
  type PlaintextPrefix,
  XftpError,
} from '../protocol/index.js';

/** What is known of an encrypted file before its chunks arrive. */
export interface OpenRequest {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** 24 bytes. */
  readonly nonce: Uint8Array;
  /** Sizes of the chunks, in bytes. */
  readonly chunkSizes: readonly number[];
  /** SHA-512 of all chunks: 64 bytes. */
  readonly digest: Uint8Array;
}

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
 * Takes the next `length` bytes of the file's content. It says where to decrypt them, in order and all of them during
 * the call: `decrypt` fills `target` with the bytes from `offset` of these on.
 */
export type ContentSink = (length: number, decrypt: (target: Uint8Array, offset: number) => void) => void;

/** Bytes that go through several steps at a time, so that they stay in the processor's cache in between. */
const PIECE_SIZE = 128 * 1024;

/**
 * Decrypts chunks into a file and verifies tag and digest of the whole on the way (protocol reference, sections 5.4
 * and 7.2). Chunks may arrive in any order; they are held until it is their turn, so the whole is read only once.
 * Nothing is to be trusted before `finish`. Synchronous: it runs in a worker thread.
 */
export class OpenStream {
  readonly #request: OpenRequest;
  readonly #box: SecretBoxStream;
  readonly #tag: Poly1305;
  readonly #digest = createDigest('sha512');
  readonly #cipherLength: number;
  /** Chunks that wait for their turn: the box as it was given, already decrypted. */
  readonly #held = new Map<number, Uint8Array>();
  #prefix: PlaintextPrefix | undefined;
  #sink: ContentSink | undefined;
  #next = 0;
  #offset = 0;
  #tagMatches = false;

  constructor(request: OpenRequest) {
    this.#request = request;
    this.#box = new SecretBoxStream(request.key, request.nonce);
    this.#tag = this.#box.tag();
    this.#cipherLength = request.chunkSizes.reduce((sum, size) => sum + size, 0) - TAG_LENGTH;
    if (this.#cipherLength < 0)
      throw new XftpError('INVALID_DESCRIPTION', 'The file is too small to be encrypted.');
  }

  /**
   * Checks a chunk and takes it.
   *
   * @throws XftpError CHUNK_TAG or CHUNK_DIGEST: the chunk must be downloaded again
   */
  accept({ index, box, boxSecret, boxNonce, digest }: DownloadedChunk): void {
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
    this.#held.set(index, box);
  }

  /**
   * Reads the header of the file from its first chunk, which must have been accepted.
   *
   * @throws XftpError FILE_CORRUPT
   */
  readPrefix(): PlaintextPrefix {
    const first = this.#held.get(0);
    if (first === undefined) throw new XftpError('INVALID_ARGUMENT', 'The first chunk is not there yet.');
    const head = first.slice(
      0,
      Math.min(LENGTH_PREFIX_SIZE + MAX_HEADER_LENGTH, this.#chunkSize(0), this.#cipherLength),
    );
    this.#box.xor(head, 0);
    const prefix = decodePlaintextPrefix(head);
    if (prefix.contentOffset + prefix.contentLength > this.#cipherLength)
      throw new XftpError('FILE_CORRUPT', 'The file is corrupted: its header promises more than there is.');
    this.#prefix = prefix;
    return prefix;
  }

  /** From now on the content is written to `sink`. */
  writeTo(sink: ContentSink): void {
    this.#sink = sink;
  }

  /** Decrypts and writes all chunks whose turn it is, and returns their indices. Their memory is free again. */
  flush(): number[] {
    const done: number[] = [];
    for (;;) {
      const box = this.#held.get(this.#next);
      if (box === undefined || this.#sink === undefined || this.#prefix === undefined) return done;
      this.#held.delete(this.#next);
      done.push(this.#next);
      this.#commit(box.subarray(0, this.#chunkSize(this.#next)), this.#prefix, this.#sink);
    }
  }

  /**
   * Checks digest and tag of the whole, after the last chunk.
   *
   * @throws XftpError FILE_CORRUPT
   */
  finish(): void {
    if (this.#next < this.#request.chunkSizes.length)
      throw new XftpError('INVALID_ARGUMENT', 'Some chunks of the file are not there yet.');
    if (!constantTimeEqual(this.#digest.digest(), this.#request.digest))
      throw new XftpError(
        'FILE_CORRUPT',
        'The file is corrupted: its digest is not the one in the description.',
      );
    if (!this.#tagMatches)
      throw new XftpError(
        'FILE_CORRUPT',
        'The file is corrupted: it was not encrypted with the key in the description.',
      );
  }

  #commit(chunk: Uint8Array, prefix: PlaintextPrefix, sink: ContentSink): void {
    const start = this.#offset;
    const cipher = chunk.subarray(0, Math.max(0, this.#cipherLength - start));
    for (const piece of piecesOf(cipher)) {
      this.#digest.update(piece);
      this.#tag.update(piece);
      this.#writeContent(piece, prefix, sink);
      this.#offset += piece.length;
    }
    const rest = chunk.subarray(cipher.length);
    this.#digest.update(rest);
    this.#offset += rest.length;
    this.#next += 1;
    if (this.#next === this.#request.chunkSizes.length)
      this.#tagMatches = constantTimeEqual(this.#tag.finish(), rest);
  }

  /** Decrypts what of a piece at the current offset is content, neither header nor padding. */
  #writeContent(
    piece: Uint8Array,
    { contentOffset, contentLength }: PlaintextPrefix,
    sink: ContentSink,
  ): void {
    const from = Math.max(contentOffset, this.#offset);
    const to = Math.min(contentOffset + contentLength, this.#offset + piece.length);
    if (from >= to) return;
    const content = piece.subarray(from - this.#offset, to - this.#offset);
    sink(content.length, (target, offset) => {
      this.#box.xor(content.subarray(offset, offset + target.length), from + offset, target);
    });
  }

  #chunkSize(index: number): number {
    return this.#request.chunkSizes[index] ?? 0;
  }
}

/**
 * Opens a chunk's box in place (protocol reference, section 5.4).
 *
 * @returns SHA-256 of the chunk, or undefined when the box's tag is wrong
 */
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

function* piecesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let done = 0; done < bytes.length; done += PIECE_SIZE) yield bytes.subarray(done, done + PIECE_SIZE);
}
