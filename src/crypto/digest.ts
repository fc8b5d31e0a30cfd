import { createHash } from 'node:crypto';

/** The digests of the protocol: SHA-256 (32 bytes) for chunks, SHA-512 (64 bytes) for files (FIPS 180-4). */
export type DigestAlgorithm = 'sha256' | 'sha512';

/** Length of each digest, in bytes. */
export const DIGEST_LENGTH: Readonly<Record<DigestAlgorithm, number>> = { sha256: 32, sha512: 64 };

/** A digest of bytes that come in pieces. */
export interface Digest {
  /** Adds the next piece, of any length. */
  update(bytes: Uint8Array): void;
  /** The digest of all pieces. Ends the use of this object. */
  digest(): Uint8Array;
}

/** Starts a digest of bytes that come in pieces. */
export function createDigest(algorithm: DigestAlgorithm): Digest {
  const hash = createHash(algorithm);
  return {
    update(bytes): void {
      hash.update(bytes);
    },
    digest: () => new Uint8Array(hash.digest()),
  };
}

/** SHA-256 of the bytes: 32 bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest());
}

/** SHA-512 of the bytes: 64 bytes. */
export function sha512(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha512').update(bytes).digest());
}
