import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signWithNode,
  verify as verifyWithNode,
} from 'node:crypto';
import { sodium } from './sodium.js';
import {
  decodePrivateKey,
  decodePublicKey,
  encodePrivateKey,
  encodePublicKey,
  type KeyAlgorithm,
  XftpError,
} from '../protocol/index.js';
import { randomBytes } from './random.js';

// Ed25519 and X25519 go through libsodium: five to ten times as fast as node:crypto with keys in DER form
// (measured: key pair 30 against 200 µs, signature 35 against 400 µs). libsodium has no Ed448.

/** A key pair in its wire form (protocol reference, section 0.2). */
export interface KeyPair {
  /** SPKI DER: 44 bytes, or 69 for Ed448. */
  readonly publicKey: Uint8Array;
  /** PKCS8 DER: 48 bytes, or 73 for Ed448. A secret. */
  readonly privateKey: Uint8Array;
}

/** The key types that sign. */
export type SigningAlgorithm = Exclude<KeyAlgorithm, 'x25519'>;

/** Length of a signature of each type (RFC 8032), in bytes. */
export const SIGNATURE_LENGTH: Readonly<Record<SigningAlgorithm, number>> = { ed25519: 64, ed448: 114 };

/** Length of a raw X25519 shared secret, in bytes. */
export const SHARED_SECRET_LENGTH = 32;

const SODIUM_SECRET_KEY_LENGTH = 64;

/** A fresh key pair of the system's random source. */
export function generateKeyPair(algorithm: KeyAlgorithm): KeyPair {
  if (algorithm === 'ed448') return generateEd448();
  const seed = randomBytes(32);
  const raw = algorithm === 'ed25519' ? ed25519FromSeed(seed).publicKey : x25519PublicKey(seed);
  return {
    publicKey: encodePublicKey({ algorithm, raw }),
    privateKey: encodePrivateKey({ algorithm, raw: seed }),
  };
}

/**
 * The public key (SPKI) of a private key (PKCS8).
 *
 * @throws XftpError INVALID_KEY when it is not a private key of section 0.2.
 */
export function publicKeyOf(privateKey: Uint8Array): Uint8Array {
  const { algorithm, raw } = decodePrivateKey(privateKey);
  switch (algorithm) {
    case 'ed25519':
      return encodePublicKey({ algorithm, raw: ed25519FromSeed(raw).publicKey });
    case 'x25519':
      return encodePublicKey({ algorithm, raw: x25519PublicKey(raw) });
    case 'ed448':
      return exportPublicKey(createPublicKey(importPrivateKey(privateKey)));
  }
}

/**
 * Signs a message with an Ed25519 or Ed448 private key (PKCS8): 64 or 114 bytes (RFC 8032, pure, no context).
 *
 * @throws XftpError INVALID_KEY when it is not such a key.
 */
export function sign(privateKey: Uint8Array, message: Uint8Array): Uint8Array {
  const { algorithm, raw } = decodePrivateKey(privateKey);
  switch (algorithm) {
    case 'ed25519':
      return signEd25519(raw, message);
    case 'ed448':
      return new Uint8Array(signWithNode(null, message, importPrivateKey(privateKey)));
    case 'x25519':
      throw cannotSign();
  }
}

/**
 * Whether `signature` is that of `message` by the owner of an Ed25519 or Ed448 public key (SPKI).
 * A signature of a wrong length, or of any other bytes, is false.
 *
 * @throws XftpError INVALID_KEY when it is not such a key.
 */
export function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const { algorithm, raw } = decodePublicKey(publicKey);
  if (algorithm === 'x25519') throw cannotSign();
  if (signature.length !== SIGNATURE_LENGTH[algorithm]) return false;
  return algorithm === 'ed25519'
    ? sodium().crypto_sign_verify_detached(signature, message, raw)
    : verifyEd448(publicKey, message, signature);
}

/**
 * The raw X25519 secret of our private key (PKCS8) and the peer's public key (SPKI): 32 bytes (RFC 7748).
 *
 * @throws XftpError INVALID_KEY when either is not an X25519 key, or when the peer's is one of the few
 * points that give an all-zero secret whatever our key.
 */
export function sharedSecret(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const ours = decodePrivateKey(privateKey);
  const theirs = decodePublicKey(publicKey);
  if (ours.algorithm !== 'x25519' || theirs.algorithm !== 'x25519')
    throw new XftpError('INVALID_KEY', 'Agreeing on a secret needs two X25519 keys.');
  const secret = new Uint8Array(SHARED_SECRET_LENGTH);
  try {
    sodium().crypto_scalarmult(secret, ours.raw, theirs.raw);
  } catch (cause) {
    throw new XftpError('INVALID_KEY', 'The X25519 key of the other side gives no secret.', { cause });
  }
  return secret;
}

function ed25519FromSeed(seed: Uint8Array): { publicKey: Uint8Array; secretKey: Uint8Array } {
  const publicKey = new Uint8Array(32);
  const secretKey = new Uint8Array(SODIUM_SECRET_KEY_LENGTH);
  sodium().crypto_sign_seed_keypair(publicKey, secretKey, seed);
  return { publicKey, secretKey };
}

function signEd25519(seed: Uint8Array, message: Uint8Array): Uint8Array {
  const signature = new Uint8Array(SIGNATURE_LENGTH.ed25519);
  sodium().crypto_sign_detached(signature, message, ed25519FromSeed(seed).secretKey);
  return signature;
}

function x25519PublicKey(raw: Uint8Array): Uint8Array {
  const publicKey = new Uint8Array(32);
  sodium().crypto_scalarmult_base(publicKey, raw);
  return publicKey;
}

function generateEd448(): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('ed448', {
    publicKeyEncoding: { format: 'der', type: 'spki' },
    privateKeyEncoding: { format: 'der', type: 'pkcs8' },
  });
  return { publicKey: new Uint8Array(publicKey), privateKey: new Uint8Array(privateKey) };
}

function verifyEd448(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    const key = createPublicKey({ key: asBuffer(publicKey), format: 'der', type: 'spki' });
    return verifyWithNode(null, message, key, signature);
  } catch {
    return false; // OpenSSL refuses some bytes that are no point of the curve; nothing verifies with those.
  }
}

/** Only for keys whose DER form has been checked. */
function importPrivateKey(privateKey: Uint8Array): KeyObject {
  return createPrivateKey({ key: asBuffer(privateKey), format: 'der', type: 'pkcs8' });
}

function exportPublicKey(key: KeyObject): Uint8Array {
  return new Uint8Array(key.export({ format: 'der', type: 'spki' }));
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function cannotSign(): XftpError {
  return new XftpError('INVALID_KEY', 'An X25519 key neither signs nor verifies signatures.');
}
