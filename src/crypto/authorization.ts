import { decodeBase64Url, decodePublicKey, encodePublicKey, type KeyAlgorithm } from '../protocol/index.js';
import { AUTHENTICATOR_LENGTH, verifyAuthenticator } from './authenticator.js';
import { sharedSecret, SIGNATURE_LENGTH, verify } from './keys.js';

/** Length of the authorization that a key of each type makes, in bytes (protocol reference, section 4.2). */
export const AUTHORIZATION_LENGTHS: Readonly<Record<KeyAlgorithm, number>> = {
  ...SIGNATURE_LENGTH,
  x25519: AUTHENTICATOR_LENGTH,
};

/** A command's authorization and what it has to be checked against. */
export interface Authorization {
  /** The field as received; its length tells the scheme. */
  readonly authorization: Uint8Array;
  /** The bytes of the transmission that it covers. */
  readonly authorized: Uint8Array;
  readonly correlationId: Uint8Array;
  /** The relay's private X25519 key (PKCS8) of this session; without one (version 1) no X25519 key passes. */
  readonly sessionKey?: Uint8Array;
}

/** The scheme of an authorization, told by its length; undefined if no scheme has that length. */
export function authorizationScheme(authorization: Uint8Array): KeyAlgorithm | undefined {
  return SCHEMES.find((scheme) => AUTHORIZATION_LENGTHS[scheme] === authorization.length);
}

/**
 * Whether the owner of `key` (SPKI) authorized the command. A scheme that does not fit the type of the key is
 * false, after the work of checking it with another key: how long it takes does not tell which type is stored.
 *
 * @throws XftpError INVALID_KEY when `key` is not in the form of section 0.2.
 */
export function verifyAuthorization(command: Authorization & { readonly key: Uint8Array }): boolean {
  const { algorithm } = decodePublicKey(command.key);
  const scheme = authorizationScheme(command.authorization);
  if (scheme !== algorithm) return verifyDummyAuthorization(command);
  return verifyWithKey(command.key, scheme, command);
}

/**
 * For commands about an unknown ID: works as long as `verifyAuthorization` does, with a fixed key of the type that
 * the authorization asks for, and is always false. So the time until AUTH does not tell which IDs exist.
 */
export function verifyDummyAuthorization(command: Authorization): boolean {
  const scheme = authorizationScheme(command.authorization);
  if (scheme !== undefined) verifyWithKey(DUMMY_KEYS[scheme], scheme, command);
  return false;
}

const SCHEMES = ['ed25519', 'ed448', 'x25519'] as const;

/** Any keys do; these are the first public keys in RFC 8032, sections 7.1 and 7.4, and RFC 7748, section 6.1. */
const DUMMY_KEYS: Readonly<Record<KeyAlgorithm, Uint8Array>> = {
  ed25519: dummyKey('ed25519', '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'),
  ed448: dummyKey('ed448', 'X9dEm1m0Yf0s54fsYWrUah2hNCSFpw4fig6nXYDpZ3jt8SR2m0bHBhvWeD3x5Q9s0foavq_oJWGA'),
  x25519: dummyKey('x25519', 'hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo'),
};

function dummyKey(algorithm: KeyAlgorithm, raw: string): Uint8Array {
  return encodePublicKey({ algorithm, raw: decodeBase64Url(raw) });
}

function verifyWithKey(key: Uint8Array, scheme: KeyAlgorithm, command: Authorization): boolean {
  const { authorization, authorized, correlationId, sessionKey } = command;
  if (scheme !== 'x25519') return verify(key, authorized, authorization);
  if (sessionKey === undefined) return false;
  const secret = secretOf(sessionKey, key);
  return secret !== undefined && verifyAuthenticator(secret, correlationId, authorized, authorization);
}

/** Undefined for the few public keys that give no secret: whoever registered one cannot authorize anything. */
function secretOf(sessionKey: Uint8Array, key: Uint8Array): Uint8Array | undefined {
  try {
    return sharedSecret(sessionKey, key);
  } catch {
    return undefined;
  }
}
