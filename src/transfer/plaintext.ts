import { readSync } from 'node:fs';

const PADDING_BYTE = 0x23; // '#'

/** What is encrypted: the prefix, the content, and then padding. */
export interface Plaintext {
  /** Length prefix and header. */
  readonly prefix: Uint8Array;
  /** An open file that holds the content, from its start on. */
  readonly file: number;
  /** Bytes of the file that belong to the content; padding follows them. */
  readonly contentLength: number;
}

/**
 * Fills `target` with what is to be encrypted from `offset` on. Throws the system's error.
 *
 * @returns false when the file has fewer bytes than it should
 */
export function fillPlaintext(
  target: Uint8Array,
  offset: number,
  { prefix, file, contentLength }: Plaintext,
): boolean {
  const head = prefix.subarray(offset, offset + target.length);
  target.set(head);
  const position = offset + head.length - prefix.length;
  const length = Math.max(0, Math.min(target.length - head.length, contentLength - position));
  const end = head.length + length;
  target.fill(PADDING_BYTE, end);
  return readFully(file, target.subarray(head.length, end), position);
}

function readFully(file: number, into: Uint8Array, position: number): boolean {
  for (let done = 0; done < into.length;) {
    const count = readSync(file, into, done, into.length - done, position + done);
    if (count === 0) return false;
    done += count;
  }
  return true;
}
