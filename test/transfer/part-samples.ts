import { randomBytes, SecretBoxStream, sha256, sha512 } from '#src/crypto/index.js';
import { concatBytes, encodePlaintextPrefix } from '#src/protocol/index.js';
import { type CipherPool, openChunk, openFirstChunk } from '#src/transfer/index.js';
import { boxed, type SealedFile } from './stream-samples.js';

/** A file that a sender of any kind encrypted. */
export type SentSample = Omit<SealedFile, 'sourceSize'>;

/** Encrypts as a sender of its own may: with its own padding, cut anywhere, perhaps with a wrong tag. */
export function sealedByHand(
  name: string,
  content: Uint8Array,
  chunkSizes: readonly number[],
  { padding = 0x23, wrongTag = false } = {},
): SentSample {
  const [key, nonce] = [randomBytes(32), randomBytes(24)];
  const size = chunkSizes.reduce((sum, chunk) => sum + chunk, 0);
  const whole = new Uint8Array(size).fill(padding);
  whole.set(concatBytes(encodePlaintextPrefix({ name }, content.length), content));
  const box = new SecretBoxStream(key, nonce);
  const cipher = whole.subarray(0, size - 16);
  box.xor(cipher, 0);
  const tag = box.tag();
  tag.update(cipher);
  whole.set(wrongTag ? randomBytes(16) : tag.finish(), size - 16);
  let start = 0;
  const bodies = chunkSizes.map((length) => whole.slice(start, (start += length)));
  const chunks = bodies.map((body) => ({ size: body.length, digest: sha256(body) }));
  return { key, nonce, digest: sha512(whole), chunks, bodies };
}

/** What a relay hands out for a chunk, in memory that threads share. */
export function downloadOf(file: SentSample, index: number): ReturnType<typeof boxed> {
  const chunk = boxed(index, file.bodies[index]!, file.chunks[index]!.digest);
  const box = new Uint8Array(new SharedArrayBuffer(chunk.box.length));
  box.set(chunk.box);
  return { ...chunk, box };
}

/** What there is to know of the file before it is downloaded. */
export function encryptedFileOf({ key, nonce, chunks }: SentSample): {
  key: Uint8Array;
  nonce: Uint8Array;
  chunkSizes: number[];
} {
  return { key, nonce, chunkSizes: chunks.map(({ size }) => size) };
}

/** What verifies the part file. */
export function verificationOf(
  sent: SentSample,
  partPath: string,
  prefix: Uint8Array,
): ReturnType<typeof encryptedFileOf> & {
  partPath: string;
  prefix: Uint8Array;
  chunkDigests: Uint8Array[];
  digest: Uint8Array;
} {
  const chunkDigests = sent.chunks.map(({ digest }) => digest);
  return { ...encryptedFileOf(sent), partPath, prefix, chunkDigests, digest: sent.digest };
}

/** Opens the first chunk, then the others in the given order (indexes from 0), all at once. */
export async function receiveParts(
  sent: SentSample,
  partPath: string,
  ciphers: CipherPool,
  order: readonly number[] = [...sent.bodies.keys()],
): ReturnType<typeof openFirstChunk> {
  const file = encryptedFileOf(sent);
  const first = await openFirstChunk({ file, downloaded: downloadOf(sent, 0), partPath }, ciphers);
  const contentOffset = first.prefix.length;
  await Promise.all(
    order
      .filter((index) => index > 0)
      .map((index) =>
        openChunk({ file, downloaded: downloadOf(sent, index), partPath, contentOffset }, ciphers),
      ),
  );
  return first;
}
