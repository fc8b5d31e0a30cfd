import { DOWNLOAD_TAG_LENGTH } from '../client/index.js';
import {
  type Chunk,
  type FileDescription,
  validateDescription,
  validateLengths,
  XftpError,
} from '../protocol/index.js';
import { throwIfAborted } from '../transport/index.js';
import { BufferPool, chunksInMemory } from './buffer-pool.js';
import { type DownloadContext, downloadChunk } from './chunk-download.js';
import type { CipherStream } from './cipher-pool.js';
import type { FilePrefix } from './file-prefix.js';
import { type Destination, PartFile } from './part-file.js';
import { TaskGroup } from './task-group.js';
import { ProgressMeter, type TransferContext } from './transfer-context.js';

/** A file to receive. */
export interface ReceiveRequest {
  /** A recipient's description without redirect. */
  readonly description: FileDescription;
  /** Where it goes; a part file of the caller's for one who may have to remove it without waiting. */
  readonly destination: Destination | PartFile;
}

/** A file that was received. */
export interface ReceivedFile {
  /** Absolute path. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/**
 * Downloads, verifies and decrypts a file. Each byte is written once, to a part file next to the destination, which
 * gets its final name only when everything is verified and on disk. Never overwrites anything.
 *
 * @throws XftpError of the description, of the relays, of the file's verification, or of the disk
 */
export async function receiveFile(request: ReceiveRequest, context: TransferContext): Promise<ReceivedFile> {
  checkReceivable(request.description);
  const { destination } = request;
  const part = destination instanceof PartFile ? destination : new PartFile(destination);
  await part.checkDestination();
  const group = new TaskGroup(context.signal);
  const cipher = context.ciphers.stream();
  let receiver: FileReceiver | undefined;
  try {
    return await group.run(async () => {
      const transfer = { ...context, signal: group.signal };
      receiver = new FileReceiver(request.description, transfer, cipher, part);
      const { header, contentLength } = await receiver.run(group);
      await cipher.call('openFinish', {});
      throwIfAborted(group.signal);
      return { path: await part.place(header.name), size: contentLength };
    });
  } finally {
    // The part file is closed before it is removed: some systems cannot remove an open one.
    await cipher.close();
    receiver?.close();
    await part.discard();
  }
}

/**
 * Checks that a description can be used to receive a file.
 *
 * @throws XftpError INVALID_DESCRIPTION
 */
export function checkReceivable(description: FileDescription): void {
  if (description.party !== 'recipient')
    throw new XftpError(
      'INVALID_DESCRIPTION',
      "This is a sender's file description, which deletes the file: use a recipient's description to receive it.",
    );
  validateDescription(description);
  validateLengths(description);
}

/** Downloads the chunks of one file. The first one leads, since its header names the file. */
class FileReceiver {
  readonly #description: FileDescription;
  readonly #context: DownloadContext & { readonly signal: AbortSignal };
  readonly #cipher: CipherStream;
  readonly #part: PartFile;
  readonly #buffers: BufferPool;
  /** The memory of the chunks that are not written yet, by index. */
  readonly #held = new Map<number, Uint8Array>();

  constructor(
    description: FileDescription,
    context: TransferContext & { readonly signal: AbortSignal },
    cipher: CipherStream,
    part: PartFile,
  ) {
    const largest = description.chunks.reduce((size, chunk) => Math.max(size, chunk.size), 0);
    this.#description = description;
    const progress = new ProgressMeter(description.size, context.onProgress);
    this.#context = { ...context, progress, failed: [] };
    this.#cipher = cipher;
    this.#part = part;
    this.#buffers = new BufferPool(
      context.ciphers.memory,
      chunksInMemory(largest),
      largest + DOWNLOAD_TAG_LENGTH,
    );
  }

  /** Returns when all chunks are decrypted and written; the whole is not verified yet. */
  async run(group: TaskGroup): Promise<FilePrefix> {
    const { key, nonce, digest, chunks } = this.#description;
    await this.#cipher.call('openStart', { key, nonce, digest, chunkSizes: chunks.map(({ size }) => size) });
    const [first, ...others] = chunks;
    if (first === undefined)
      throw new XftpError('INVALID_DESCRIPTION', 'The file description has no chunks.');
    const memory = await this.#takeMemory(first);
    let onBegun = (): void => undefined;
    const begun = new Promise<void>((resolve) => (onBegun = resolve));
    const prefix = group.add(() => this.#receiveFirst(first, memory, onBegun));
    const received: Promise<void>[] = [];
    for (const chunk of others) {
      // Chunks that are asked for together end together, and a round trip passes until the next ones come: in it come
      // those that were asked for a round trip later.
      if (received.length + 1 === Math.ceil(this.#buffers.count / 2)) await Promise.race([begun, prefix]);
      const next = await this.#takeMemory(chunk);
      received.push(group.add(() => this.#receiveNext(chunk, next, prefix)));
    }
    await Promise.all(received);
    return prefix;
  }

  /** Leaves the memory to other transfers, when nothing is under way any more. */
  close(): void {
    this.#release([...this.#held.keys()]);
    this.#buffers.close();
  }

  async #receiveFirst(chunk: Chunk, memory: Uint8Array, onBegun: () => void): Promise<FilePrefix> {
    const prefix = await downloadChunk(
      chunk,
      memory,
      (downloaded) => this.#cipher.call('openFirst', { chunk: downloaded }),
      { ...this.#context, onBegun },
    );
    const path = await this.#part.choosePath(prefix.header.name, prefix.contentLength);
    const { written } = await this.#cipher.call('openPart', { path });
    this.#release(written);
    return prefix;
  }

  async #receiveNext(chunk: Chunk, memory: Uint8Array, firstIsThere: Promise<unknown>): Promise<void> {
    await downloadChunk(
      chunk,
      memory,
      async (downloaded) => {
        await firstIsThere;
        const { written } = await this.#cipher.call('openNext', { chunk: downloaded });
        this.#release(written);
      },
      this.#context,
    );
  }

  async #takeMemory({ number }: Chunk): Promise<Uint8Array> {
    const memory = await this.#buffers.take(this.#context.signal);
    this.#held.set(number - 1, memory);
    return memory;
  }

  #release(indices: readonly number[]): void {
    for (const index of indices) {
      const memory = this.#held.get(index);
      if (memory !== undefined) this.#buffers.give(memory);
      this.#held.delete(index);
    }
  }
}
