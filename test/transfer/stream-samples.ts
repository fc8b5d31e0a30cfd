import { randomBytes, sealTagLast } from '#src/crypto/index.js';
import type { FileDescription } from '#src/protocol/index.js';
import { OpenStream } from '#src/transfer/open-stream.js';
import { SealStream } from '#src/transfer/seal-stream.js';

/** What opening a file needs of its description. */
export type Sealed = Pick<FileDescription, 'key' | 'nonce' | 'digest' | 'chunks'>;

/** What is known of a sealed file without any relay. */
export interface SealedFile {
  readonly sourceSize: number;
  readonly key: Uint8Array;
  readonly nonce: Uint8Array;
  readonly digest: Uint8Array;
  readonly chunks: readonly { readonly size: number; readonly digest: Uint8Array }[];
  readonly bodies: readonly Uint8Array[];
}

/** Seals a whole source. `between` runs before each chunk. */
export function sealFile(
  source: { path: string; name: string; key?: Uint8Array; nonce?: Uint8Array },
  between: (index: number) => void = () => undefined,
): SealedFile {
  const { path, name, key = randomBytes(32), nonce = randomBytes(24) } = source;
  const seal = new SealStream({ path, name, key, nonce, maxSize: 2 ** 40 });
  try {
    const bodies: Uint8Array[] = [];
    const chunks = seal.chunkSizes.map((size, index) => {
      between(index);
      // Longer than the chunk, and full of something else, as pooled buffers are.
      const buffer = new Uint8Array(size + 100).fill(0xaa);
      const sealed = seal.next(buffer);
      if (buffer.subarray(size).some((byte) => byte !== 0xaa)) throw new Error('Wrote beyond the chunk.');
      bodies.push(buffer.subarray(0, size));
      return { size: sealed.size, digest: sealed.digest };
    });
    return { sourceSize: seal.sourceSize, key, nonce, digest: seal.finish(), chunks, bodies };
  } finally {
    seal.close();
  }
}

/** The box that a relay makes of a chunk for one download. */
export function boxed(
  index: number,
  body: Uint8Array,
  digest: Uint8Array,
): { index: number; box: Uint8Array; boxSecret: Uint8Array; boxNonce: Uint8Array; digest: Uint8Array } {
  const boxSecret = randomBytes(32);
  const boxNonce = randomBytes(24);
  return { index, box: sealTagLast(boxSecret, boxNonce, body), boxSecret, boxNonce, digest };
}

/** The stream for a file of that description. */
export function openStreamOf({
  key,
  nonce,
  digest,
  chunks,
}: Omit<SealedFile, 'sourceSize' | 'bodies'>): OpenStream {
  return new OpenStream({ key, nonce, digest, chunkSizes: chunks.map(({ size }) => size) });
}

/** Opens a whole file, its chunks arriving in the given order. */
export function openFile(
  file: Omit<SealedFile, 'sourceSize' | 'bodies'>,
  bodies: readonly Uint8Array[],
  order: readonly number[] = [...bodies.keys()],
): { name: string; content: Uint8Array } {
  const stream = openStreamOf(file);
  let content = new Uint8Array();
  let filled = 0;
  let name = '';
  let returned = 0;
  for (const index of order) {
    const [body, chunk] = [bodies[index], file.chunks[index]];
    if (body === undefined || chunk === undefined) throw new Error('There is no such chunk.');
    stream.accept(boxed(index, body, chunk.digest));
    if (index === 0) {
      const { header, contentLength } = stream.readPrefix();
      name = header.name;
      content = new Uint8Array(contentLength);
      stream.writeTo((length, decrypt) => {
        decrypt(content.subarray(filled, filled + length), 0);
        filled += length;
      });
    }
    returned += stream.flush().length;
  }
  stream.finish();
  if (returned !== bodies.length) throw new Error('Not every box was given back.');
  return { name, content };
}
