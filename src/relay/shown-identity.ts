import { constants, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';

import { pemEncode } from '../crypto/index.js';
import type { RelayCredentials } from './credentials.js';
import type { Pages } from './web/pages.js';
import type { WebCertificate } from './web/web-certificate.js';

/** What a relay shows of itself. It may be replaced while the relay runs; connections keep what they began with. */
export interface ShownIdentity {
  readonly credentials: RelayCredentials;
  /** For browsers; undefined when they are not served. */
  readonly web: WebSide | undefined;
}

/** What browsers get. */
export interface WebSide {
  readonly certificate: WebCertificate;
  readonly pages: Pages;
}

/** "Only full handshakes occur in practice" (protocol reference, section 1.4): a session identifier must be fresh. */
const FRESH_SESSIONS = { secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION };

/** TLS as the reference's native parameters have it (section 1.1). */
const NATIVE_TLS: SecureContextOptions = {
  ...FRESH_SESSIONS,
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-CHACHA20-POLY1305',
  sigalgs: 'ed448:ed25519',
  ecdhCurve: 'X448:X25519',
};

/** Signatures and ciphers where there is a web certificate, by the type of its key, as Node names it. */
const WEB_SIGNATURES: ReadonlyMap<string, readonly string[]> = new Map([
  ['ec', ['ecdsa_secp256r1_sha256', 'ecdsa_secp384r1_sha384', 'ecdsa_secp521r1_sha512']],
  [
    'rsa',
    [
      'rsa_pss_rsae_sha512',
      'rsa_pss_rsae_sha384',
      'rsa_pss_rsae_sha256',
      'rsa_pkcs1_sha512',
      'rsa_pkcs1_sha384',
      'rsa_pkcs1_sha256',
    ],
  ],
  ['ed448', ['ed448']],
  ['ed25519', ['ed25519']],
]);
const WEB_CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_AES_128_GCM_SHA256',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-RSA-CHACHA20-POLY1305',
];

/**
 * TLS where there is a web certificate (section 1.1): what native clients offer and what browsers do. The reference
 * takes old ciphers and finite-field groups too, which cost a server much and which no browser needs.
 *
 * What fits the web certificate comes first: Node adds it to the relay's own instead of putting it in its place, and
 * clients who can use either must get it.
 */
function webTls(certificate: WebCertificate): SecureContextOptions {
  const type = new X509Certificate(certificate.chain).publicKey.asymmetricKeyType ?? '';
  const first = (fits: boolean): number => (fits ? 0 : 1);
  const signatures = [...WEB_SIGNATURES].sort(([a], [b]) => first(a === type) - first(b === type));
  const isRsa = (cipher: string): boolean => cipher.includes('-RSA-');
  const ciphers =
    type === 'rsa' ? WEB_CIPHERS.toSorted((a, b) => first(isRsa(a)) - first(isRsa(b))) : WEB_CIPHERS;
  return {
    ...FRESH_SESSIONS,
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers: ciphers.join(':'),
    sigalgs: signatures.flatMap(([, names]) => names).join(':'),
    ecdhCurve: 'X25519:X448:P-256:P-384:P-521',
  };
}

/** TLS for whoever does not name a host, as native clients never do. */
export function nativeContext({ credentials, web }: ShownIdentity): SecureContextOptions {
  const { online, identityCertificate } = credentials;
  return {
    ...(web === undefined ? NATIVE_TLS : webTls(web.certificate)),
    key: pemEncode('PRIVATE KEY', online.privateKey),
    cert: pemEncode('CERTIFICATE', online.certificate) + pemEncode('CERTIFICATE', identityCertificate),
  };
}

/** TLS for whoever names a host; undefined: that of all others, since "SNI is ignored" then (section 1.5). */
export function webContext({ web }: ShownIdentity): SecureContext | undefined {
  return web === undefined ? undefined : createSecureContext(webContextOptions(web.certificate));
}

/** TLS with a web certificate. */
export function webContextOptions(certificate: WebCertificate): SecureContextOptions {
  return { ...webTls(certificate), key: certificate.key, cert: certificate.chain };
}
