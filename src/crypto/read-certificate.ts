import { decodePublicKey, decodeUtf8, XftpError } from '../protocol/index.js';
import { OID } from './certificate-oids.js';
import { DerReader } from './der-reader.js';
import { contextTag, DER_TAG } from './der-writer.js';
import { sha256 } from './digest.js';
import type { SigningAlgorithm } from './keys.js';

/** What an X.509 certificate says (RFC 5280). Byte arrays are views of the certificate. */
export interface Certificate {
  /** 1 or 3. */
  readonly version: number;
  /** DER of the issuer's and the subject's names, to be compared byte by byte. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  /** The subject's first common name, if it has one. */
  readonly commonName: string | undefined;
  /** Both ends of the validity period, included. */
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** SPKI DER, of any algorithm. */
  readonly publicKey: Uint8Array;
  /** The type of the public key, or undefined if it is none that relays use. */
  readonly algorithm: SigningAlgorithm | undefined;
  /** Whether it may sign other certificates (basicConstraints CA:true). */
  readonly isAuthority: boolean;
  /** The identifier that the certificate gives its own key, if it does. */
  readonly subjectKeyIdentifier: Uint8Array | undefined;
  readonly extensions: readonly CertificateExtension[];
}

/** One extension of a certificate. */
export interface CertificateExtension {
  /** Object identifier in dotted form. */
  readonly oid: string;
  /** Whether a reader that does not know it must refuse the certificate. */
  readonly critical: boolean;
  /** DER of its value. */
  readonly value: Uint8Array;
}

/** The fingerprint in a relay's address: SHA-256 of its whole identity certificate, 32 bytes. */
export function fingerprintOf(certificate: Uint8Array): Uint8Array {
  return sha256(certificate);
}

/**
 * Reads a certificate (DER). Nothing is verified.
 *
 * @throws XftpError INVALID_CERTIFICATE when it is not a well-formed X.509 certificate.
 */
export function readCertificate(der: Uint8Array): Certificate {
  const outer = new DerReader(der);
  const certificate = outer.inside();
  outer.end();
  const fields = readFields(certificate.inside());
  certificate.value(DER_TAG.sequence); // signature algorithm
  certificate.bitString();
  certificate.end();
  return fields;
}

function readFields(reader: DerReader): Certificate {
  const version = readVersion(reader.optional(contextTag(0))?.content);
  reader.value(DER_TAG.integer); // serial number
  reader.value(DER_TAG.sequence); // signature algorithm
  const issuer = reader.value(DER_TAG.sequence).whole;
  const validity = reader.inside();
  const [notBefore, notAfter] = [validity.time(), validity.time()];
  validity.end();
  const subject = reader.value(DER_TAG.sequence).whole;
  const publicKey = reader.value(DER_TAG.sequence).whole;
  const extensions = readExtensions(reader.optional(contextTag(3))?.content);
  reader.end();
  return {
    version,
    issuer,
    subject,
    commonName: readCommonName(subject),
    notBefore,
    notAfter,
    publicKey,
    algorithm: signingAlgorithm(publicKey),
    isAuthority: readIsAuthority(valueOf(extensions, OID.basicConstraints)),
    subjectKeyIdentifier: readKeyIdentifier(valueOf(extensions, OID.subjectKeyIdentifier)),
    extensions,
  };
}

function readVersion(content: Uint8Array | undefined): number {
  if (content === undefined) return 1;
  const reader = new DerReader(content);
  const [version, ...rest] = reader.value(DER_TAG.integer).content;
  reader.end();
  if (version !== 2 || rest.length > 0)
    throw new XftpError('INVALID_CERTIFICATE', 'The certificate is neither of version 1 nor of version 3.');
  return version + 1;
}

function readExtensions(content: Uint8Array | undefined): CertificateExtension[] {
  if (content === undefined) return [];
  const outer = new DerReader(content);
  const list = outer.inside();
  outer.end();
  const extensions: CertificateExtension[] = [];
  while (!list.done) extensions.push(readExtension(list.inside()));
  return extensions;
}

function readExtension(reader: DerReader): CertificateExtension {
  const oid = reader.oid();
  const critical = reader.optional(DER_TAG.boolean);
  const { content } = reader.value(DER_TAG.octetString);
  reader.end();
  return { oid, critical: critical !== undefined && critical.content[0] !== 0, value: content };
}

function valueOf(extensions: readonly CertificateExtension[], oid: string): Uint8Array | undefined {
  return extensions.find((extension) => extension.oid === oid)?.value;
}

function readCommonName(name: Uint8Array): string | undefined {
  const parts = new DerReader(name).inside();
  while (!parts.done) {
    const alternatives = parts.inside(DER_TAG.set);
    while (!alternatives.done) {
      const attribute = alternatives.inside();
      if (attribute.oid() === OID.commonName) return decodeUtf8(attribute.any().content);
    }
  }
  return undefined;
}

function readIsAuthority(value: Uint8Array | undefined): boolean {
  if (value === undefined) return false;
  const flag = new DerReader(value).inside().optional(DER_TAG.boolean);
  return flag !== undefined && flag.content[0] !== 0;
}

function readKeyIdentifier(value: Uint8Array | undefined): Uint8Array | undefined {
  return value === undefined ? undefined : new DerReader(value).value(DER_TAG.octetString).content;
}

function signingAlgorithm(publicKey: Uint8Array): SigningAlgorithm | undefined {
  try {
    const { algorithm } = decodePublicKey(publicKey);
    return algorithm === 'x25519' ? undefined : algorithm;
  } catch {
    return undefined; // RSA, ECDSA and the like: certificates of web sites.
  }
}
