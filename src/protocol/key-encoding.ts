import { bytesEqual, concatBytes } from './bytes.js';
import { XftpError } from './failure.js';

/** The key types of the protocol. Ed25519 and Ed448 sign; X25519 agrees on secrets. */
export type KeyAlgorithm = 'ed25519' | 'ed448' | 'x25519';

/** Length of a raw key of each type, public and private (RFC 8032, RFC 7748), in bytes. */
export const RAW_KEY_LENGTH: Readonly<Record<KeyAlgorithm, number>> = { ed25519: 32, ed448: 57, x25519: 32 };

/** A key without its DER wrapping. */
export interface RawKey {
  readonly algorithm: KeyAlgorithm;
  /** 32 bytes, or 57 for Ed448. */
  readonly raw: Uint8Array;
}

/** DER before the raw key: SPKI for public keys, PKCS8 version 0 for private ones (RFC 8410). */
const PREFIXES: readonly { algorithm: KeyAlgorithm; spki: Uint8Array; pkcs8: Uint8Array }[] = [
  {
    algorithm: 'ed25519',
    spki: hex('302a300506032b6570032100'),
    pkcs8: hex('302e020100300506032b657004220420'),
  },
  {
    algorithm: 'x25519',
    spki: hex('302a300506032b656e032100'),
    pkcs8: hex('302e020100300506032b656e04220420'),
  },
  {
    algorithm: 'ed448',
    spki: hex('3043300506032b6571033a00'),
    pkcs8: hex('3047020100300506032b6571043b0439'),
  },
];

/** SPKI DER of a public key: 44 bytes, or 69 for Ed448. */
export function encodePublicKey(key: RawKey): Uint8Array {
  return encodeKey('spki', key);
}

/** PKCS8 DER of a private key: 48 bytes, or 73 for Ed448. */
export function encodePrivateKey(key: RawKey): Uint8Array {
  return encodeKey('pkcs8', key);
}

/**
 * Reads an SPKI public key, which must have exactly the DER form of the protocol reference, section 0.2.
 *
 * @throws XftpError INVALID_KEY
 */
export function decodePublicKey(der: Uint8Array): RawKey {
  return decodeKey('spki', der);
}

/**
 * Reads a PKCS8 private key, which must have exactly the DER form of the protocol reference, section 0.2.
 *
 * @throws XftpError INVALID_KEY
 */
export function decodePrivateKey(der: Uint8Array): RawKey {
  return decodeKey('pkcs8', der);
}

function encodeKey(form: 'spki' | 'pkcs8', key: RawKey): Uint8Array {
  const prefix = PREFIXES.find(({ algorithm }) => algorithm === key.algorithm);
  if (prefix === undefined || key.raw.length !== RAW_KEY_LENGTH[key.algorithm])
    throw new XftpError(
      'INVALID_KEY',
      `A raw ${key.algorithm} key of ${String(key.raw.length)} bytes is no key.`,
    );
  return concatBytes(prefix[form], key.raw);
}

function decodeKey(form: 'spki' | 'pkcs8', der: Uint8Array): RawKey {
  for (const prefix of PREFIXES) {
    const head = prefix[form];
    if (
      der.length === head.length + RAW_KEY_LENGTH[prefix.algorithm] &&
      bytesEqual(der.subarray(0, head.length), head)
    )
      return { algorithm: prefix.algorithm, raw: der.subarray(head.length) };
  }
  throw new XftpError(
    'INVALID_KEY',
    `A key is not an Ed25519, Ed448 or X25519 ${form === 'spki' ? 'public key (SPKI)' : 'private key (PKCS8)'}.`,
  );
}

function hex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
