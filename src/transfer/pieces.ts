/** Bytes that go through several steps at a time, so that they stay in the processor's cache in between. */
export const PIECE_SIZE = 128 * 1024;

/** The bytes in pieces, in order, without copying them. */
export function* piecesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let done = 0; done < bytes.length; done += PIECE_SIZE) yield bytes.subarray(done, done + PIECE_SIZE);
}
