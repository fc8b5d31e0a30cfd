import { MAX_CHUNK_SIZE } from './chunk-sizes.js';
import { MAX_SHORT } from './encoding.js';
import { XftpError } from './failure.js';
import { decodePrivateKey } from './key-encoding.js';
import { FINGERPRINT_LENGTH, type ServerAddress } from './server-address.js';

/** Length of a file's secret key, in bytes. */
export const FILE_KEY_LENGTH = 32;
/** Length of a file's nonce, in bytes. */
export const FILE_NONCE_LENGTH = 24;
/** Length of the digest (SHA-512) of an encrypted file, in bytes. */
export const FILE_DIGEST_LENGTH = 64;
/** Length of the digest (SHA-256) of a chunk, in bytes. */
export const CHUNK_DIGEST_LENGTH = 32;

/**
 * Recipients of a file: as many as our relays take for a chunk. Keys for more, one for each of its chunks, are a mistake
 * rather than a wish.
 */
export const MAX_RECIPIENTS = 10_000;

/** The size of a chunk is a u32 on the wire. */
const MAX_WIRE_SIZE = 0xffffffff;

/** Whose description it is: a recipient can download, the sender can delete. */
export type Party = 'recipient' | 'sender';

/** One copy of a chunk on a relay. */
export interface Replica {
  /** Never with a password. */
  readonly server: ServerAddress;
  /** The sender's or recipient's ID: 1 to 255 bytes. */
  readonly id: Uint8Array;
  /** The private key that goes with the ID: PKCS8. A secret. */
  readonly key: Uint8Array;
}

/** One piece of the encrypted file. */
export interface Chunk {
  /** Place in the file, from 1. */
  readonly number: number;
  /** In bytes. */
  readonly size: number;
  /** SHA-256 of the chunk as uploaded: 32 bytes. */
  readonly digest: Uint8Array;
  /** At least one. The first is the one that reference programs use. */
  readonly replicas: readonly Replica[];
}

/** Says that the described file is itself a description, and of what. */
export interface Redirect {
  /** `size` of the description inside, in bytes. */
  readonly size: number;
  /** `digest` of the description inside: 64 bytes. */
  readonly digest: Uint8Array;
}

/** All that one party needs for one file (protocol reference, section 8). */
export interface FileDescription {
  readonly party: Party;
  /** Size of the encrypted file: the sum of the chunk sizes, in bytes. */
  readonly size: number;
  /** SHA-512 of the encrypted file: 64 bytes. */
  readonly digest: Uint8Array;
  /** 32 bytes. A secret. */
  readonly key: Uint8Array;
  /** 24 bytes. */
  readonly nonce: Uint8Array;
  /** The size that is not written beside a chunk; that of chunk 1, as reference programs have it. In bytes. */
  readonly chunkSize: number;
  /** By number, from 1, without gaps; at least one. */
  readonly chunks: readonly Chunk[];
  readonly redirect?: Redirect;
}

/**
 * Checks what the reference checks (protocol reference, section 8.5): chunk numbers, sizes and their sum, replicas,
 * keys, and that no server has a password. Lengths of digests and fingerprints are up to `validateLengths`.
 *
 * @throws XftpError INVALID_DESCRIPTION
 */
export function validateDescription(description: FileDescription): void {
  const { key, nonce, digest, chunks, size, chunkSize, redirect } = description;
  demand(key.length === FILE_KEY_LENGTH, 'its key does not have 32 bytes');
  demand(nonce.length === FILE_NONCE_LENGTH, 'its nonce does not have 24 bytes');
  demand(digest.length > 0, 'its digest is empty');
  demand(isSize(chunkSize), 'its chunkSize is not a possible size of a chunk');
  demand(chunks.length > 0, 'it has no chunks');
  for (const [index, chunk] of chunks.entries()) validateChunk(chunk, index + 1);
  const sum = chunks.reduce((total, chunk) => total + chunk.size, 0);
  demand(sum === size, `its size is ${String(size)} bytes, but its chunks together have ${String(sum)}`);
  if (redirect === undefined) return;
  demand(Number.isSafeInteger(redirect.size) && redirect.size > 0, 'the size in its redirect is not a size');
  demand(redirect.digest.length > 0, 'the digest in its redirect is empty');
}

/**
 * Checks what a download needs beyond `validateDescription`: full-length digests and fingerprints, and no chunk
 * larger than relays take. Reference parsers leave it to the failing download.
 *
 * @throws XftpError INVALID_DESCRIPTION
 */
export function validateLengths({ digest, chunks, redirect }: FileDescription): void {
  demand(digest.length === FILE_DIGEST_LENGTH, 'its digest does not have 64 bytes');
  for (const chunk of chunks) {
    const name = `chunk ${String(chunk.number)}`;
    demand(chunk.digest.length === CHUNK_DIGEST_LENGTH, `the digest of ${name} does not have 32 bytes`);
    demand(chunk.size <= MAX_CHUNK_SIZE, `${name} is larger than 4 MiB, more than any relay takes`);
    const full = chunk.replicas.every(({ server }) => server.fingerprint.length === FINGERPRINT_LENGTH);
    demand(full, `a server of ${name} has a fingerprint that does not have 32 bytes`);
  }
  if (redirect !== undefined)
    demand(
      redirect.digest.length === FILE_DIGEST_LENGTH,
      'the digest in its redirect does not have 64 bytes',
    );
}

function validateChunk(chunk: Chunk, expectedNumber: number): void {
  const name = `chunk ${String(expectedNumber)}`;
  demand(chunk.number === expectedNumber, `${name} is missing or out of place`);
  demand(isSize(chunk.size), `the size of ${name} is not a possible size of a chunk`);
  demand(chunk.digest.length > 0, `there is no digest of ${name}`);
  demand(chunk.replicas.length > 0, `${name} has no replicas`);
  for (const { server, id, key } of chunk.replicas) {
    demand(
      server.password === undefined,
      `a server of ${name} has a password, which must stay with the sender`,
    );
    demand(id.length > 0 && id.length <= MAX_SHORT, `an ID of ${name} does not have 1 to 255 bytes`);
    demand(isPrivateKey(key), `a key of ${name} is not a PKCS8 private key`);
  }
}

function isSize(size: number): boolean {
  return Number.isInteger(size) && size > 0 && size <= MAX_WIRE_SIZE;
}

function isPrivateKey(der: Uint8Array): boolean {
  try {
    decodePrivateKey(der);
    return true;
  } catch {
    return false;
  }
}

function demand(condition: boolean, problem: string): void {
  if (!condition) throw invalidDescription(problem);
}

/** The failure for a description with the given problem, which must not repeat secrets. */
export function invalidDescription(problem: string, cause?: unknown): XftpError {
  return new XftpError('INVALID_DESCRIPTION', `The file description is wrong: ${problem}.`, { cause });
}
