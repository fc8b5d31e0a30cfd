import { checkShared } from './chunk-memory.js';
import type { DownloadedChunk } from './chunk-box.js';
import type { CipherPool } from './cipher-pool.js';
import { chunkRange, cipherLengthOf, type EncryptedFile } from './encrypted-file.js';
import { type FilePrefix, readFilePrefix } from './file-prefix.js';

/** A chunk that was downloaded, and the part file it goes to. */
export interface ChunkToOpen {
  readonly file: EncryptedFile;
  /** Its box is memory of `ChunkMemory` and is decrypted in place. */
  readonly downloaded: DownloadedChunk;
  /**
   * The part file (mode 0600). It holds what follows the prefix: content and padding as the sender sent them, and the
   * tag. So any chunk can be made again from it and the prefix, until `finishPart` cuts it to the content.
   */
  readonly partPath: string;
}

/** The first chunk, whose head says where the content starts. */
export interface FirstChunkToOpen extends ChunkToOpen {
  /** Whether the part file may be there already, since this is not the first attempt; false unless given. */
  readonly resume?: boolean;
  /** Called before anything is written, to check the free disk space; what it throws ends the call. */
  readonly checkContent?: (prefix: FilePrefix) => void | Promise<void>;
}

/**
 * Verifies and decrypts the first chunk of a file and writes it into the part file, which it creates. May be repeated
 * with `resume`.
 *
 * @throws XftpError CHUNK_TAG or CHUNK_DIGEST when the chunk must be downloaded again, FILE_CORRUPT when its header is
 *   nonsense or promises more than there is, FILE_EXISTS, and what writing a file can fail with
 */
export async function openFirstChunk(
  { checkContent, resume = false, ...request }: FirstChunkToOpen,
  ciphers: CipherPool,
): Promise<FilePrefix> {
  const chunk = await openBox(request, ciphers);
  const prefix = readFilePrefix(request.file, chunk);
  await checkContent?.(prefix);
  const contentOffset = prefix.prefix.length;
  await writeChunk(request, chunk, { contentOffset, create: !resume }, ciphers);
  return prefix;
}

/**
 * Verifies and decrypts any chunk of a file whose first chunk was there once, and writes it into the part file at its
 * place. May be repeated. Makes the part file again if somebody removed it: `verifyPart` tells what is missing then.
 *
 * @throws XftpError CHUNK_TAG or CHUNK_DIGEST when the chunk must be downloaded again, and what writing a file can fail
 *   with
 */
export async function openChunk(
  /** `contentOffset` is the length of the prefix. */
  { contentOffset, ...request }: ChunkToOpen & { readonly contentOffset: number },
  ciphers: CipherPool,
): Promise<void> {
  const chunk = await openBox(request, ciphers);
  await writeChunk(request, chunk, { contentOffset, create: false }, ciphers);
}

/** The chunk as its sender uploaded it, in the memory of its box. */
async function openBox({ file, downloaded }: ChunkToOpen, ciphers: CipherPool): Promise<Uint8Array> {
  checkShared(downloaded.box);
  const { size } = chunkRange(file.chunkSizes, downloaded.index + 1);
  await ciphers.call('openBox', { chunk: downloaded });
  return downloaded.box.subarray(0, size);
}

async function writeChunk(
  { file, downloaded, partPath }: ChunkToOpen,
  chunk: Uint8Array,
  { contentOffset, create }: { readonly contentOffset: number; readonly create: boolean },
  ciphers: CipherPool,
): Promise<void> {
  const { key, nonce, chunkSizes } = file;
  const { offset } = chunkRange(chunkSizes, downloaded.index + 1);
  const cipherLength = cipherLengthOf(chunkSizes);
  await ciphers.call('writeChunk', {
    key,
    nonce,
    cipherLength,
    offset,
    chunk,
    contentOffset,
    path: partPath,
    create,
  });
}
