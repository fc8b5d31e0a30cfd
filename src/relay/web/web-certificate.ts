import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';

import { XftpError } from '../../protocol/index.js';
import { describeFileError } from '../file-errors.js';

/** What browsers are shown instead of the relay's own certificate (protocol reference, section 1.5). PEM. */
export interface WebCertificate {
  /** The certificate of the host name, then those that lead to the authority that issued it. */
  readonly chain: string;
  /** The key of the first one. A secret. */
  readonly key: string;
}

/**
 * Reads a web certificate and checks that TLS can use it. Dates and names do not count: browsers tell their users.
 *
 * @throws XftpError INVALID_CERTIFICATE with what to do about it; else as reading fails
 */
export async function readWebCertificate(certificatePath: string, keyPath: string): Promise<WebCertificate> {
  const chain = await readText(certificatePath, 'cert');
  const key = await readText(keyPath, 'key');
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(chain);
  } catch (cause) {
    throw unusable(`${certificatePath} does not hold a certificate in PEM form; set cert in [WEB]`, cause);
  }
  let matches: boolean;
  try {
    matches = certificate.checkPrivateKey(createPrivateKey(key));
  } catch (cause) {
    throw unusable(
      `${keyPath} does not hold a private key in PEM form without a password; set key in [WEB]`,
      cause,
    );
  }
  if (!matches)
    throw unusable(`${keyPath} is not the key of ${certificatePath}; set cert and key in [WEB] to a pair`);
  try {
    createSecureContext({ cert: chain, key });
  } catch (cause) {
    throw unusable(
      `${certificatePath} and ${keyPath} cannot be used for TLS; get another certificate`,
      cause,
    );
  }
  return { chain, key };
}

async function readText(path: string, key: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw describeFileError(
      error,
      `The web certificate's file ${path} cannot be read`,
      `set ${key} in [WEB] to the right path`,
    );
  }
}

function unusable(problem: string, cause?: unknown): XftpError {
  return new XftpError('INVALID_CERTIFICATE', `${problem}.`, cause === undefined ? undefined : { cause });
}
