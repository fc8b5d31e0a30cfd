import { X509Certificate } from 'node:crypto';
import { bytesEqual, XftpError } from '../protocol/index.js';
import { OID } from './certificate-oids.js';
import { type Certificate, readCertificate } from './read-certificate.js';

const KNOWN_EXTENSIONS: ReadonlySet<string> = new Set([
  OID.subjectKeyIdentifier,
  OID.keyUsage,
  OID.subjectAltName,
  OID.basicConstraints,
  OID.authorityKeyIdentifier,
  OID.extendedKeyUsage,
]);

/**
 * Checks that a relay's online certificate was issued by its identity certificate, as official clients do
 * (protocol reference, section 1.3): version 3, in date, no unknown critical extension, the issuer's name equal to
 * the identity's in every byte, and the signature. The identity's own dates and extensions and the host name do
 * not count. That the identity is the expected one is the caller's to check, with `fingerprintOf`.
 *
 * @returns the online certificate
 * @throws XftpError IDENTITY_MISMATCH
 */
export function verifyCertificatePair(
  onlineDer: Uint8Array,
  identityDer: Uint8Array,
  now: Date,
): Certificate {
  const online = readOf('online', onlineDer);
  const identity = readOf('identity', identityDer);
  const problem = problemOf(online, identity, now);
  if (problem !== undefined) throw mismatch(`The relay's online certificate ${problem}.`);
  if (!isSignedBy(onlineDer, identityDer))
    throw mismatch("The relay's online certificate is not signed by its identity certificate.");
  return online;
}

function problemOf(online: Certificate, identity: Certificate, now: Date): string | undefined {
  if (online.version !== 3) return 'is not of version 3';
  if (now < online.notBefore)
    return `is valid only from ${dateOf(online.notBefore)} on: check the clock of this computer`;
  if (now > online.notAfter) return `expired on ${dateOf(online.notAfter)}: its operator must renew it`;
  if (online.extensions.some(({ critical, oid }) => critical && !KNOWN_EXTENSIONS.has(oid)))
    return 'has a critical extension that this program does not know';
  if (!bytesEqual(online.issuer, identity.subject)) return 'was not issued by its identity certificate';
  return undefined;
}

/** OpenSSL verifies, so that an identity of any algorithm will do. */
function isSignedBy(onlineDer: Uint8Array, identityDer: Uint8Array): boolean {
  try {
    return new X509Certificate(onlineDer).verify(new X509Certificate(identityDer).publicKey);
  } catch {
    return false; // OpenSSL cannot read the certificate or its key.
  }
}

function readOf(which: 'online' | 'identity', der: Uint8Array): Certificate {
  try {
    return readCertificate(der);
  } catch (cause) {
    throw mismatch(`The relay's ${which} certificate cannot be read.`, cause);
  }
}

function dateOf(time: Date): string {
  return time.toISOString().slice(0, 10);
}

function mismatch(message: string, cause?: unknown): XftpError {
  return new XftpError('IDENTITY_MISMATCH', message, { cause });
}
