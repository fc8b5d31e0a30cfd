import { SecretBoxStream } from '../crypto/index.js';
import { XftpError } from '../protocol/index.js';
import { type DownloadedChunk, openChunkBox } from './chunk-box.js';
import { cipherLengthOf, type EncryptedFile } from './encrypted-file.js';
import { type FilePrefix, readFilePrefix } from './file-prefix.js';
import { FileVerifier } from './file-verifier.js';
import { piecesOf } from './pieces.js';

/** What is known of an encrypted file before its chunks arrive. */
export interface OpenRequest extends EncryptedFile {
  /** SHA-512 of all chunks: 64 bytes. */
  readonly digest: Uint8Array;
}

/**
 * Takes the next `length` bytes of the file's content. It says where to decrypt them, in order and all of them during
 * the call: `decrypt` fills `target` with the bytes from `offset` of these on.
 */
export type ContentSink = (length: number, decrypt: (target: Uint8Array, offset: number) => void) => void;

/**
 * Decrypts chunks into a file and verifies tag and digest of the whole on the way (protocol reference, sections 5.4
 * and 7.2). Chunks may arrive in any order; they are held until it is their turn, so the whole is read only once.
 * Nothing is to be trusted before `finish`. Synchronous: it runs in a worker thread.
 */
export class OpenStream {
  readonly #request: OpenRequest;
  readonly #box: SecretBoxStream;
  readonly #whole: FileVerifier;
  /** Chunks that wait for their turn: the box as it was given, already decrypted. */
  readonly #held = new Map<number, Uint8Array>();
  #prefix: FilePrefix | undefined;
  #sink: ContentSink | undefined;
  #next = 0;
  #offset = 0;

  constructor(request: OpenRequest) {
    this.#request = request;
    this.#box = new SecretBoxStream(request.key, request.nonce);
    this.#whole = new FileVerifier(this.#box, cipherLengthOf(request.chunkSizes));
  }

  /**
   * Checks a chunk and takes it.
   *
   * @throws XftpError CHUNK_TAG or CHUNK_DIGEST: the chunk must be downloaded again
   */
  accept(chunk: DownloadedChunk): void {
    openChunkBox(chunk);
    this.#held.set(chunk.index, chunk.box);
  }

  /**
   * Reads the header of the file from its first chunk, which must have been accepted.
   *
   * @throws XftpError FILE_CORRUPT
   */
  readPrefix(): FilePrefix {
    const first = this.#held.get(0);
    if (first === undefined) throw new XftpError('INVALID_ARGUMENT', 'The first chunk is not there yet.');
    this.#prefix = readFilePrefix(this.#request, first.subarray(0, this.#chunkSize(0)));
    return this.#prefix;
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
    this.#whole.finish(this.#request.digest);
  }

  #commit(chunk: Uint8Array, prefix: FilePrefix, sink: ContentSink): void {
    for (const piece of piecesOf(chunk)) {
      this.#whole.update(piece);
      this.#writeContent(piece, prefix, sink);
      this.#offset += piece.length;
    }
    this.#next += 1;
  }

  /** Decrypts what of a piece at the current offset is content, neither header nor padding. */
  #writeContent(
    piece: Uint8Array,
    { prefix: { length: contentOffset }, contentLength }: FilePrefix,
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
