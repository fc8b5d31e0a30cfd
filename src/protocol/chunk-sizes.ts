import { XftpError } from './failure.js';

const KB = 1024;
const MB = 1024 * KB;

/** The chunk sizes that relays take, in bytes, ascending (protocol reference, section 6). */
export const CHUNK_SIZES = [64 * KB, 256 * KB, MB, 4 * MB] as const;

/** The largest chunk that relays take, in bytes. */
export const MAX_CHUNK_SIZE: number = 4 * MB;

/** Most chunks of a file (64 GiB): its description, with two replicas of each chunk, still fits 4 MiB. */
export const MAX_CHUNKS = 16384;

/** Pairs of sizes for one file: a pair is used for payloads above its threshold. */
const PAIRS = [
  { above: threeQuarters(4 * MB), small: MB, big: 4 * MB },
  { above: threeQuarters(MB), small: 256 * KB, big: MB },
  { above: 0, small: 64 * KB, big: 256 * KB },
] as const;

/**
 * Sizes of the chunks for a payload, in order (protocol reference, section 6.1).
 * Their sum is the size of the encrypted file; what exceeds the payload is padding.
 *
 * @param payload bytes of the length prefix, file header, content and tag together (`payloadLength`).
 * @throws XftpError INVALID_ARGUMENT for a payload that is no positive integer, FILE_TOO_LARGE above `MAX_CHUNKS`.
 */
export function planChunkSizes(payload: number): number[] {
  checkPayload(payload);
  const pair = PAIRS.find(({ above }) => payload > above) ?? PAIRS[2];
  return sizesOf(payload, pair);
}

function sizesOf(payload: number, pair: (typeof PAIRS)[number]): number[] {
  const bigChunks = Math.floor(payload / pair.big);
  if (bigChunks >= MAX_CHUNKS)
    throw new XftpError('FILE_TOO_LARGE', 'The file is too large: a transfer carries less than 64 GiB.');
  const sizes = Array.from({ length: bigChunks }, (): number => pair.big);
  const rest = payload % pair.big;
  if (rest > threeQuarters(pair.big)) return [...sizes, pair.big];
  return [...sizes, ...Array.from({ length: Math.ceil(rest / pair.small) }, (): number => pair.small)];
}

/**
 * Sizes for links on which large chunks do not get through: chunks of 256 KiB and 64 KiB whatever the payload, as long
 * as those are not more than `MAX_CHUNKS` (some 4 GiB); larger ones where they would be.
 *
 * @throws XftpError as `planChunkSizes`
 */
export function planSmallChunkSizes(payload: number): number[] {
  checkPayload(payload);
  const pair = PAIRS.findLast(({ big }) => payload / big < MAX_CHUNKS - 4);
  return pair === undefined ? planChunkSizes(payload) : sizesOf(payload, pair);
}

/** The smallest chunk size that holds the whole payload, for redirects (section 6.2); undefined if none does. */
export function singleChunkSize(payload: number): number | undefined {
  checkPayload(payload);
  return CHUNK_SIZES.find((size) => size >= payload);
}

/** Where each chunk starts in the encrypted file, in bytes. */
export function chunkOffsets(sizes: readonly number[]): number[] {
  let end = 0;
  return sizes.map((size) => {
    const start = end;
    end += size;
    return start;
  });
}

function threeQuarters(size: number): number {
  return Math.floor((size * 3) / 4);
}

function checkPayload(payload: number): void {
  if (!Number.isSafeInteger(payload) || payload <= 0)
    throw new XftpError(
      'INVALID_ARGUMENT',
      `A payload of ${String(payload)} bytes cannot be cut into chunks.`,
    );
}
