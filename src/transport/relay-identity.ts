import type { TLSSocket } from 'node:tls';

import {
  constantTimeEqual,
  fingerprintOf,
  readCertificate,
  verifyCertificatePair,
  verifySessionKey,
} from '../crypto/index.js';
import { type ServerAddress, type ServerHello, XftpError } from '../protocol/index.js';

/** Certificates that a relay showed in TLS, after their check. */
export interface RelayIdentity {
  /** DER of the online certificate, whose key holds the connection. */
  readonly leaf: Uint8Array;
  /** DER of the identity certificate, whose SHA-256 is the fingerprint in the server address. */
  readonly identity: Uint8Array;
}

/**
 * Checks the certificates of a TLS connection against a server address (protocol reference, section 1.3).
 *
 * @throws XftpError IDENTITY_MISMATCH
 */
export function checkTlsIdentity(socket: TLSSocket, server: ServerAddress, place: string): RelayIdentity {
  // Reading it takes the chain off the socket: a second call would give less.
  const leaf = socket.getPeerX509Certificate();
  const identity = leaf?.issuerCertificate;
  if (leaf === undefined || identity === undefined)
    throw new XftpError('IDENTITY_MISMATCH', `${place} did not show the two certificates of an XFTP relay.`);
  if (!constantTimeEqual(fingerprintOf(identity.raw), server.fingerprint))
    throw new XftpError(
      'IDENTITY_MISMATCH',
      `${place} is not the relay that its address names: the fingerprint of its certificate is another. ` +
        'Check the server address; if it is right, the connection may be intercepted.',
    );
  verifyCertificatePair(leaf.raw, identity.raw, new Date());
  return { leaf: leaf.raw, identity: identity.raw };
}

/**
 * Checks a relay's hello against the TLS connection it came over (protocol reference, section 3.7).
 *
 * @returns the relay's X25519 session key (SPKI)
 * @throws XftpError IDENTITY_MISMATCH
 */
export function checkHelloIdentity(
  hello: ServerHello,
  connection: { readonly identity: RelayIdentity; readonly sessionId: Uint8Array; readonly place: string },
): Uint8Array {
  const { identity, sessionId, place } = connection;
  const mismatch = (what: string): XftpError =>
    new XftpError(
      'IDENTITY_MISMATCH',
      `The hello of ${place} does not belong to this connection (${what}): it may be intercepted.`,
    );
  if (!constantTimeEqual(hello.sessionId, sessionId)) throw mismatch('other session identifier');
  const [leafInHello, identityInHello, ...others] = hello.certificates;
  if (leafInHello === undefined || identityInHello === undefined || others.length > 0)
    throw mismatch('not two certificates');
  if (!constantTimeEqual(leafInHello, identity.leaf)) throw mismatch('other online certificate');
  if (!constantTimeEqual(identityInHello, identity.identity)) throw mismatch('other identity certificate');
  return verifySessionKey(readCertificate(identity.leaf).publicKey, hello.signedKey);
}
