import { bytesEqual, decodePrivateKey, decodePublicKey, XftpError } from '../protocol/index.js';
import { OID } from './certificate-oids.js';
import { derBitString, derOid, derSequence } from './der-writer.js';
import { sign, SIGNATURE_LENGTH, type SigningAlgorithm, verify } from './keys.js';

/** Length of an X25519 public key (SPKI), in bytes. */
const SPKI_LENGTH = 44;
/** Length of what stands between key and signature, in bytes: the algorithm (7), the header of the BIT STRING (3). */
const BETWEEN_LENGTH = 10;

/**
 * A session's X25519 public key (SPKI), signed with the key of the relay's online certificate (PKCS8): 122 bytes of
 * DER for Ed25519, 173 for Ed448 (protocol reference, section 3.4).
 *
 * @throws XftpError INVALID_KEY when either key has another type.
 */
export function signSessionKey(signingPrivateKey: Uint8Array, sessionPublicKey: Uint8Array): Uint8Array {
  if (decodePublicKey(sessionPublicKey).algorithm !== 'x25519') throw notX25519();
  const { algorithm } = decodePrivateKey(signingPrivateKey);
  if (algorithm === 'x25519') throw new XftpError('INVALID_KEY', 'An X25519 key cannot sign a session key.');
  return encodeSignedKey(sessionPublicKey, algorithm, sign(signingPrivateKey, wrap(sessionPublicKey)));
}

/**
 * The session's X25519 public key (SPKI) out of `signSessionKey`'s result, which must have exactly its form.
 *
 * @param signingPublicKey SPKI of the relay's online certificate, from TLS
 * @throws XftpError IDENTITY_MISMATCH when the signature or the form is wrong.
 */
export function verifySessionKey(signingPublicKey: Uint8Array, signedKey: Uint8Array): Uint8Array {
  try {
    const { algorithm } = decodePublicKey(signingPublicKey);
    if (algorithm === 'x25519') throw new XftpError('INVALID_KEY', 'An X25519 key verifies no signatures.');
    return openSignedKey(signingPublicKey, algorithm, signedKey);
  } catch (cause) {
    throw new XftpError(
      'IDENTITY_MISMATCH',
      "The relay's session key is not signed by the key of its online certificate.",
      { cause },
    );
  }
}

/** Takes the key and the signature from where they must stand, then checks the form by making it again. */
function openSignedKey(
  signingPublicKey: Uint8Array,
  algorithm: SigningAlgorithm,
  signedKey: Uint8Array,
): Uint8Array {
  const signature = signedKey.subarray(-SIGNATURE_LENGTH[algorithm]);
  const keyEnd = signedKey.length - signature.length - BETWEEN_LENGTH;
  const key = new Uint8Array(signedKey.subarray(Math.max(keyEnd - SPKI_LENGTH, 0), Math.max(keyEnd, 0)));
  if (decodePublicKey(key).algorithm !== 'x25519') throw notX25519();
  if (!bytesEqual(encodeSignedKey(key, algorithm, signature), signedKey))
    throw new XftpError('INVALID_KEY', 'The signed session key has another form than expected.');
  if (!verify(signingPublicKey, wrap(key), signature))
    throw new XftpError('INVALID_KEY', 'The signature of the session key is wrong.');
  return key;
}

function encodeSignedKey(key: Uint8Array, algorithm: SigningAlgorithm, signature: Uint8Array): Uint8Array {
  return derSequence(wrap(key), derSequence(derOid(OID[algorithm])), derBitString(signature));
}

/** What is signed: the key inside one more SEQUENCE, header included. */
function wrap(key: Uint8Array): Uint8Array {
  return derSequence(key);
}

function notX25519(): XftpError {
  return new XftpError('INVALID_KEY', 'A session key must be an X25519 key.');
}
