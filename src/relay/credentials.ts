import { readFile, rename, rm, writeFile } from 'node:fs/promises';

import { encodeBase64Url, isXftpError, XftpError } from '../protocol/index.js';
import {
  type Certificate,
  type CertificateWithKey,
  constantTimeEqual,
  createIdentityCertificate,
  createOnlineCertificate,
  fingerprintOf,
  pemDecode,
  pemEncode,
  publicKeyOf,
  readCertificate,
  type SigningAlgorithm,
  verifyCertificatePair,
} from '../crypto/index.js';
import { errorCode } from '../system/index.js';
import { describeFileError } from './file-errors.js';
import { relayFiles, type RelayFolders } from './folders.js';
import { checkHostName } from './init-values.js';

/** Private keys: the owner alone. */
const KEY_MODE = 0o600;
const PUBLIC_MODE = 0o644;

/** What a relay shows and signs with (protocol reference, section 1.3). All DER. */
export interface RelayCredentials {
  /** The certificate whose SHA-256 is in the relay's address. */
  readonly identityCertificate: Uint8Array;
  /** The online certificate, issued by the identity, and its key. */
  readonly online: CertificateWithKey;
}

/** What to do about credentials that cannot be used, as the end of a sentence. */
export interface CredentialAdvice {
  /** About the online certificate and its key. */
  readonly online: string;
  /** About the identity certificate and its fingerprint. */
  readonly identity: string;
}

/** Fresh credentials, with the identity's key, which a relay needs only to renew its online certificate. */
export function createCredentials(
  algorithm: SigningAlgorithm,
  commonName: string,
): RelayCredentials & { readonly identity: CertificateWithKey } {
  const identity = createIdentityCertificate(algorithm);
  const online = createOnlineCertificate({ identity, algorithm, commonName });
  return { identity, identityCertificate: identity.certificate, online };
}

/** Writes fresh credentials and the fingerprint into the configuration folder. */
export async function writeCredentials(
  folders: RelayFolders,
  credentials: RelayCredentials & { readonly identity: CertificateWithKey },
): Promise<void> {
  const files = relayFiles(folders);
  await writeNew(files.identityKey, pemEncode('PRIVATE KEY', credentials.identity.privateKey), KEY_MODE);
  await writeNew(
    files.identityCertificate,
    pemEncode('CERTIFICATE', credentials.identityCertificate),
    PUBLIC_MODE,
  );
  await writeNew(files.onlineKey, pemEncode('PRIVATE KEY', credentials.online.privateKey), KEY_MODE);
  await writeNew(
    files.onlineCertificate,
    pemEncode('CERTIFICATE', credentials.online.certificate),
    PUBLIC_MODE,
  );
  const fingerprint = encodeBase64Url(fingerprintOf(credentials.identityCertificate));
  await writeNew(files.fingerprint, `${fingerprint}\n`, PUBLIC_MODE);
}

/**
 * Reads the credentials and checks that they belong together: clients would refuse them else. Dates do not count, since
 * the clock of a machine may be wrong for a while after it has started.
 *
 * @param advice what operators are told to do about what cannot be used
 * @throws XftpError INVALID_CERTIFICATE when they do not, or are not what `fingerprint` says; else as reading fails
 */
export async function readCredentials(
  folders: RelayFolders,
  advice?: CredentialAdvice,
): Promise<RelayCredentials> {
  const files = relayFiles(folders);
  const identityCertificate = await readPem(files.identityCertificate, 'CERTIFICATE', advice?.identity);
  const stored = (await readText(files.fingerprint, advice?.identity)).trim();
  if (!sameFingerprint(stored, fingerprintOf(identityCertificate)))
    throw new XftpError(
      'INVALID_CERTIFICATE',
      `Stored fingerprint is invalid.\n${files.fingerprint} does not belong to ${files.identityCertificate}` +
        `${ending(advice?.identity)}.`,
    );
  const online = {
    certificate: await readPem(files.onlineCertificate, 'CERTIFICATE', advice?.online),
    privateKey: await readPem(files.onlineKey, 'PRIVATE KEY', advice?.online),
  };
  const problem = onlineProblem(online, identityCertificate);
  if (problem !== undefined)
    throw new XftpError(
      'INVALID_CERTIFICATE',
      `${files.onlineCertificate} cannot be used: ${problem}${ending(advice?.online)}.`,
    );
  return { identityCertificate, online };
}

function onlineProblem(
  { certificate, privateKey }: CertificateWithKey,
  identityCertificate: Uint8Array,
): string | undefined {
  try {
    const { publicKey, notBefore } = readCertificate(certificate);
    if (!constantTimeEqual(publicKey, publicKeyOf(privateKey))) return 'server.key is not its key';
    verifyCertificatePair(certificate, identityCertificate, notBefore);
    return undefined;
  } catch (error) {
    if (isXftpError(error, 'IDENTITY_MISMATCH')) return 'ca.crt has not issued it';
    return 'it or its key is damaged';
  }
}

/**
 * Replaces the online certificate by a fresh one, signed with the identity's key. The old one, if it can be read, tells
 * what is not in `changes`.
 *
 * @param changes what shall differ from the old one: its key's type, its name
 * @throws XftpError as reading and writing fail, INVALID_ARGUMENT for a name that does not fit, INVALID_CERTIFICATE when
 * the identity's key is another's
 */
export async function renewOnlineCertificate(
  folders: RelayFolders,
  changes: { readonly algorithm?: SigningAlgorithm; readonly commonName?: string },
): Promise<void> {
  if (changes.commonName !== undefined) checkHostName(changes.commonName);
  const files = relayFiles(folders);
  const identity = {
    certificate: await readPem(files.identityCertificate, 'CERTIFICATE', 'restore it from a backup'),
    privateKey: await readPem(
      files.identityKey,
      'PRIVATE KEY',
      'bring the CA key back to this machine for as long as this command runs',
    ),
  };
  const old = await readOldCertificate(files.onlineCertificate);
  const algorithm = changes.algorithm ?? old?.algorithm ?? 'ed448';
  const commonName = changes.commonName ?? old?.commonName ?? 'localhost';
  let online: CertificateWithKey;
  try {
    online = createOnlineCertificate({ identity, algorithm, commonName });
  } catch (cause) {
    if (isXftpError(cause, 'INVALID_ARGUMENT')) throw cause;
    throw new XftpError(
      'INVALID_CERTIFICATE',
      `${files.identityKey} cannot be used: it is damaged or not the key of ${files.identityCertificate}; ` +
        'restore both from a backup.',
      { cause },
    );
  }
  // Written beside the old pair first: a full disk must not leave the relay without one.
  const fresh = { key: `${files.onlineKey}.new`, certificate: `${files.onlineCertificate}.new` };
  for (const path of [fresh.key, fresh.certificate]) await rm(path, { force: true });
  await writeNew(fresh.key, pemEncode('PRIVATE KEY', online.privateKey), KEY_MODE);
  await writeNew(fresh.certificate, pemEncode('CERTIFICATE', online.certificate), PUBLIC_MODE);
  await rename(fresh.key, files.onlineKey);
  await rename(fresh.certificate, files.onlineCertificate);
}

/** What may be missing or damaged, since it is to be replaced. */
async function readOldCertificate(path: string): Promise<Certificate | undefined> {
  try {
    return readCertificate(await readPem(path, 'CERTIFICATE'));
  } catch (error) {
    const missing = isXftpError(error) && errorCode(error.cause) === 'ENOENT';
    if (missing || isXftpError(error, 'INVALID_CERTIFICATE')) return undefined;
    throw error;
  }
}

async function readPem(
  path: string,
  label: 'CERTIFICATE' | 'PRIVATE KEY',
  advice?: string,
): Promise<Uint8Array> {
  const text = await readText(path, advice);
  try {
    return pemDecode(text, label);
  } catch (cause) {
    const what = label === 'CERTIFICATE' ? 'certificate' : 'private key';
    throw new XftpError(
      'INVALID_CERTIFICATE',
      `${path} does not hold a ${what} in PEM form${ending(advice)}.`,
      {
        cause,
      },
    );
  }
}

async function readText(path: string, ifMissing?: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw describeFileError(error, `${path} cannot be read`, ifMissing);
  }
}

/** Fails when the file exists: a key is never overwritten. */
async function writeNew(path: string, text: string, mode: number): Promise<void> {
  try {
    await writeFile(path, text, { mode, flag: 'wx' });
  } catch (error) {
    throw describeFileError(error, `${path} cannot be written`);
  }
}

/** Advice as the end of a sentence. */
function ending(advice: string | undefined): string {
  return advice === undefined ? '' : `; ${advice}`;
}

function sameFingerprint(stored: string, fingerprint: Uint8Array): boolean {
  // The reference writes padding and accepts both.
  return stored.replace(/=+$/, '') === encodeBase64Url(fingerprint).replace(/=+$/, '');
}
