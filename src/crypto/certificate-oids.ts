/** Object identifiers of certificates (RFC 5280, RFC 8410), in dotted form. */
export const OID = {
  ed25519: '1.3.101.112',
  ed448: '1.3.101.113',

  commonName: '2.5.4.3',
  organizationName: '2.5.4.10',

  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',

  serverAuth: '1.3.6.1.5.5.7.3.1',
} as const;
