import { readFile, rename, rm, writeFile } from 'node:fs/promises';

import { encodeBase64Url, XftpError } from '../protocol/index.js';
import {
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
} from '../crypto/index.js';
import { describeFileError } from './file-errors.js';
import { relayFiles, type RelayFolders } from './folders.js';

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
 * Reads the credentials and checks that they belong together.
 *
 * @throws XftpError INVALID_CERTIFICATE when they do not, or are not what `fingerprint` says; else as reading fails
 */
export async function readCredentials(folders: RelayFolders): Promise<RelayCredentials> {
  const files = relayFiles(folders);
  const identityCertificate = await readPem(files.identityCertificate, 'CERTIFICATE');
  const stored = (await readText(files.fingerprint)).trim();
  if (!sameFingerprint(stored, fingerprintOf(identityCertificate)))
    throw new XftpError('INVALID_CERTIFICATE', 'Stored fingerprint is invalid.');
  const online = {
    certificate: await readPem(files.onlineCertificate, 'CERTIFICATE'),
    privateKey: await readPem(files.onlineKey, 'PRIVATE KEY'),
  };
  if (!constantTimeEqual(readCertificate(online.certificate).publicKey, publicKeyOf(online.privateKey)))
    throw new XftpError(
      'INVALID_CERTIFICATE',
      `${files.onlineKey} is not the key of ${files.onlineCertificate}.`,
    );
  return { identityCertificate, online };
}

/**
 * Replaces the online certificate by a fresh one, signed with the identity's key.
 *
 * @param changes what shall differ from the old one: its key's type, its name
 * @throws XftpError as reading and writing fail, INVALID_KEY when the identity's key is another's
 */
export async function renewOnlineCertificate(
  folders: RelayFolders,
  changes: { readonly algorithm?: SigningAlgorithm; readonly commonName?: string },
): Promise<void> {
  const files = relayFiles(folders);
  const identity = {
    certificate: await readPem(files.identityCertificate, 'CERTIFICATE'),
    privateKey: await readPem(files.identityKey, 'PRIVATE KEY'),
  };
  const old = readCertificate(await readPem(files.onlineCertificate, 'CERTIFICATE'));
  const algorithm = changes.algorithm ?? old.algorithm ?? 'ed448';
  const commonName = changes.commonName ?? old.commonName ?? 'localhost';
  const online = createOnlineCertificate({ identity, algorithm, commonName });
  // Written beside the old pair first: a full disk must not leave the relay without one.
  const fresh = { key: `${files.onlineKey}.new`, certificate: `${files.onlineCertificate}.new` };
  for (const path of [fresh.key, fresh.certificate]) await rm(path, { force: true });
  await writeNew(fresh.key, pemEncode('PRIVATE KEY', online.privateKey), KEY_MODE);
  await writeNew(fresh.certificate, pemEncode('CERTIFICATE', online.certificate), PUBLIC_MODE);
  await rename(fresh.key, files.onlineKey);
  await rename(fresh.certificate, files.onlineCertificate);
}

async function readPem(path: string, label: 'CERTIFICATE' | 'PRIVATE KEY'): Promise<Uint8Array> {
  const text = await readText(path);
  try {
    return pemDecode(text, label);
  } catch (cause) {
    const what = label === 'CERTIFICATE' ? 'certificate' : 'private key';
    throw new XftpError('INVALID_CERTIFICATE', `${path} does not hold a ${what} in PEM form.`, { cause });
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw describeFileError(error, `${path} cannot be read`);
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

function sameFingerprint(stored: string, fingerprint: Uint8Array): boolean {
  // The reference writes padding and accepts both.
  return stored.replace(/=+$/, '') === encodeBase64Url(fingerprint).replace(/=+$/, '');
}
