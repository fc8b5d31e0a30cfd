import { createHash } from 'node:crypto';
import { decodePrivateKey, decodePublicKey, XftpError } from '../protocol/index.js';
import { OID } from './certificate-oids.js';
import {
  contextTag,
  derBitString,
  derInteger,
  derOctetString,
  derOid,
  derSequence,
  derTime,
  derTrue,
  derUtf8String,
  derValue,
  DER_TAG,
} from './der-writer.js';
import { generateKeyPair, publicKeyOf, sign, type SigningAlgorithm } from './keys.js';
import { randomBytes } from './random.js';
import { readCertificate } from './read-certificate.js';

/** A certificate with its private key. */
export interface CertificateWithKey {
  /** X.509, DER. */
  readonly certificate: Uint8Array;
  /** PKCS8, DER. A secret. */
  readonly privateKey: Uint8Array;
}

/** Validity of a relay's certificates: what the reference relay gives them. */
const VALIDITY_MS = 999_999 * 24 * 3600 * 1000;
/** RFC 5280 allows 20 bytes. */
const SERIAL_NUMBER_LENGTH = 20;
/** Upper bound of a common name in RFC 5280, appendix A, in characters; OpenSSL refuses longer ones. */
export const MAX_COMMON_NAME_LENGTH = 64;

/** What is signed differs in these only from one certificate of a kind to the next. */
export interface CertificateSeed {
  readonly privateKey: Uint8Array;
  /** Big-endian, positive, at most 20 bytes. */
  readonly serialNumber: Uint8Array;
  /** Cut to seconds. */
  readonly notBefore: Date;
}

/**
 * A fresh relay identity: a self-signed authority certificate with its key, as the reference relay makes it
 * (protocol reference, section 1.3). Its fingerprint is the relay's address, its key belongs offline.
 *
 * @param now the start of its 999999 days
 */
export function createIdentityCertificate(algorithm: SigningAlgorithm, now = new Date()): CertificateWithKey {
  const { privateKey } = generateKeyPair(algorithm);
  const certificate = buildIdentityCertificate({
    privateKey,
    serialNumber: randomSerialNumber(),
    notBefore: now,
  });
  return { certificate, privateKey };
}

/**
 * A fresh online certificate with its key, issued by a relay identity (protocol reference, section 1.3): what the
 * relay shows in TLS together with its identity certificate.
 *
 * @param options.commonName the relay's host name or address: 1 to 64 characters; clients do not check it
 * @param options.now the start of its 999999 days
 * @throws XftpError INVALID_CERTIFICATE or INVALID_KEY when the identity cannot be read or its key is another's;
 * INVALID_ARGUMENT for a common name that does not fit.
 */
export function createOnlineCertificate(options: {
  readonly identity: CertificateWithKey;
  readonly algorithm: SigningAlgorithm;
  readonly commonName: string;
  readonly now?: Date;
}): CertificateWithKey {
  const { privateKey } = generateKeyPair(options.algorithm);
  const seed = { privateKey, serialNumber: randomSerialNumber(), notBefore: options.now ?? new Date() };
  return { certificate: buildOnlineCertificate(options.identity, options.commonName, seed), privateKey };
}

/** The identity certificate (DER) of a given key; the same arguments give the same bytes. */
export function buildIdentityCertificate(seed: CertificateSeed): Uint8Array {
  const subject = derSequence(
    nameAttribute(OID.commonName, 'SMP server CA'),
    nameAttribute(OID.organizationName, 'SimpleX'),
  );
  const publicKey = publicKeyOf(seed.privateKey);
  const keyIdentifier = keyIdentifierOf(publicKey);
  const extensions = [
    subjectKeyIdentifier(keyIdentifier),
    authorityKeyIdentifier(keyIdentifier),
    extension(OID.basicConstraints, derSequence(derTrue()), { critical: true }),
  ];
  return signCertificate(seed.privateKey, { ...seed, issuer: subject, subject, publicKey, extensions });
}

/** The online certificate (DER) of a given key; the same arguments give the same bytes. */
export function buildOnlineCertificate(
  identity: CertificateWithKey,
  commonName: string,
  seed: CertificateSeed,
): Uint8Array {
  if (commonName.length < 1 || commonName.length > MAX_COMMON_NAME_LENGTH)
    throw new XftpError(
      'INVALID_ARGUMENT',
      `The name in a certificate must have 1 to ${String(MAX_COMMON_NAME_LENGTH)} characters: use a shorter host name.`,
    );
  const issuer = readCertificate(identity.certificate);
  const publicKey = publicKeyOf(seed.privateKey);
  const issuerKey = publicKeyOf(identity.privateKey);
  if (!Buffer.from(issuer.publicKey).equals(issuerKey))
    throw new XftpError('INVALID_KEY', 'The identity key does not belong to the identity certificate.');
  const extensions = [
    extension(OID.basicConstraints, derSequence()),
    extension(OID.keyUsage, derBitString(KEY_USAGE, KEY_USAGE_UNUSED_BITS)),
    extension(OID.extendedKeyUsage, derSequence(derOid(OID.serverAuth))),
    subjectKeyIdentifier(keyIdentifierOf(publicKey)),
    authorityKeyIdentifier(issuer.subjectKeyIdentifier ?? keyIdentifierOf(issuerKey)),
  ];
  const subject = derSequence(nameAttribute(OID.commonName, commonName));
  return signCertificate(identity.privateKey, {
    ...seed,
    issuer: issuer.subject,
    subject,
    publicKey,
    extensions,
  });
}

/** The bits digitalSignature (0), nonRepudiation (1) and keyAgreement (4); the first is the highest. */
const KEY_USAGE = Uint8Array.of(0b11001000);
const KEY_USAGE_UNUSED_BITS = 3;

interface CertificateFields {
  readonly serialNumber: Uint8Array;
  readonly notBefore: Date;
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly extensions: readonly Uint8Array[];
}

function signCertificate(issuerKey: Uint8Array, fields: CertificateFields): Uint8Array {
  const algorithm = signatureAlgorithm(issuerKey);
  const signed = derSequence(
    derValue(contextTag(0), derInteger(Uint8Array.of(2))), // version 3
    derInteger(fields.serialNumber),
    algorithm,
    fields.issuer,
    derSequence(derTime(fields.notBefore), derTime(new Date(fields.notBefore.getTime() + VALIDITY_MS))),
    fields.subject,
    fields.publicKey,
    derValue(contextTag(3), derSequence(...fields.extensions)),
  );
  return derSequence(signed, algorithm, derBitString(sign(issuerKey, signed)));
}

function signatureAlgorithm(privateKey: Uint8Array): Uint8Array {
  const { algorithm } = decodePrivateKey(privateKey);
  if (algorithm === 'x25519') throw new XftpError('INVALID_KEY', 'An X25519 key cannot sign certificates.');
  return derSequence(derOid(OID[algorithm]));
}

/** Positive and without leading zeroes: the first byte is 64 to 127. */
function randomSerialNumber(): Uint8Array {
  const serialNumber = randomBytes(SERIAL_NUMBER_LENGTH);
  serialNumber[0] = ((serialNumber[0] ?? 0) & 0x3f) | 0x40;
  return serialNumber;
}

function nameAttribute(oid: string, text: string): Uint8Array {
  return derValue(DER_TAG.set, derSequence(derOid(oid), derUtf8String(text)));
}

function extension(oid: string, value: Uint8Array, { critical = false } = {}): Uint8Array {
  return derSequence(derOid(oid), ...(critical ? [derTrue()] : []), derOctetString(value));
}

function subjectKeyIdentifier(keyIdentifier: Uint8Array): Uint8Array {
  return extension(OID.subjectKeyIdentifier, derOctetString(keyIdentifier));
}

function authorityKeyIdentifier(keyIdentifier: Uint8Array): Uint8Array {
  const tag = contextTag(0) & ~0x20; // [0] IMPLICIT OCTET STRING is primitive
  return extension(OID.authorityKeyIdentifier, derSequence(derValue(tag, keyIdentifier)));
}

/** SHA-1 of the raw key, as RFC 5280, section 4.2.1.2, names it: a name, not a protection. */
function keyIdentifierOf(publicKey: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha1').update(decodePublicKey(publicKey).raw).digest());
}
