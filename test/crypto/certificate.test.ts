import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildIdentityCertificate, buildOnlineCertificate } from '#src/crypto/create-certificate.js';
import {
  createIdentityCertificate,
  createOnlineCertificate,
  fingerprintOf,
  generateKeyPair,
  pemDecode,
  pemEncode,
  publicKeyOf,
  readCertificate,
  verifyCertificatePair,
} from '#src/crypto/index.js';
import { encodeBase64Url, isXftpError } from '#src/protocol/index.js';
import { damaged, hex, unhex } from './byte-arbitraries.js';
import { failing } from './expected-failure.js';
import { readVector, RECORDED_AT, RECORDED_RELAYS } from './recorded-relays.js';

const ALGORITHMS = ['ed25519', 'ed448'] as const;
const now = new Date('2027-03-01T10:20:30.400Z');

describe.each(RECORDED_RELAYS)('certificates of the recorded $algorithm relay', (relay) => {
  it('have the fingerprint that the relay wrote down', () => {
    expect(encodeBase64Url(fingerprintOf(relay.identity.certificate))).toBe(relay.fingerprint);
    expect(hex(relay.shown.identity)).toBe(hex(relay.identity.certificate));
    expect(hex(relay.shown.online)).toBe(hex(relay.online.certificate));
  });

  it('are read', () => {
    const identity = readCertificate(relay.identity.certificate);
    const online = readCertificate(relay.online.certificate);
    expect(identity).toMatchObject({ version: 3, commonName: 'SMP server CA', isAuthority: true });
    expect(online).toMatchObject({ version: 3, commonName: relay.commonName, isAuthority: false });
    for (const certificate of [identity, online]) {
      expect(certificate.algorithm).toBe(relay.algorithm);
      expect(certificate.notBefore.toISOString()).toBe('2026-11-22T03:49:16.000Z');
      expect(certificate.notAfter.toISOString()).toBe('4764-10-18T03:49:16.000Z');
    }
    expect(hex(identity.publicKey)).toBe(hex(publicKeyOf(relay.identity.privateKey)));
    expect(hex(online.publicKey)).toBe(hex(publicKeyOf(relay.online.privateKey)));
  });

  it('belong together at the time they were made', () => {
    const online = verifyCertificatePair(relay.shown.online, relay.shown.identity, RECORDED_AT);
    expect(online.commonName).toBe(relay.commonName);
  });

  it('come out the same in every byte when made again from the same keys, serial numbers and date', () => {
    const { notBefore } = readCertificate(relay.identity.certificate);
    const serialNumber = (der: Uint8Array): Uint8Array => unhex(new X509Certificate(der).serialNumber);
    const identity = buildIdentityCertificate({
      privateKey: relay.identity.privateKey,
      serialNumber: serialNumber(relay.identity.certificate),
      notBefore,
    });
    expect(hex(identity)).toBe(hex(relay.identity.certificate));
    const online = buildOnlineCertificate(relay.identity, relay.commonName, {
      privateKey: relay.online.privateKey,
      serialNumber: serialNumber(relay.online.certificate),
      notBefore,
    });
    expect(hex(online)).toBe(hex(relay.online.certificate));
  });
});

it('a web certificate with another kind of key is read', () => {
  const web = readCertificate(pemDecode(readVector('relay-ed448/etc/web.crt').toString(), 'CERTIFICATE'));
  expect(web).toMatchObject({ version: 3, commonName: 'localhost', algorithm: undefined });
});

describe.each(ALGORITHMS)('created %s certificates', (algorithm) => {
  const identity = createIdentityCertificate(algorithm, now);
  const online = createOnlineCertificate({ identity, algorithm, commonName: 'relay.example', now });

  it('have the lengths of those of the reference', () => {
    expect(identity.certificate).toHaveLength(algorithm === 'ed25519' ? 367 : 442);
  });

  it('say what section 1.3 demands', () => {
    const ca = new X509Certificate(identity.certificate);
    const leaf = new X509Certificate(online.certificate);
    expect(ca.subject).toBe('CN=SMP server CA\nO=SimpleX');
    expect(ca.issuer).toBe(ca.subject);
    expect(ca.ca).toBe(true);
    expect(leaf.subject).toBe('CN=relay.example');
    expect(leaf.issuer).toBe(ca.subject);
    expect(leaf.ca).toBe(false);
    expect(leaf.keyUsage).toStrictEqual(['1.3.6.1.5.5.7.3.1']);
    expect(leaf.publicKey.asymmetricKeyType).toBe(algorithm);
    const { notBefore, notAfter } = readCertificate(online.certificate);
    expect(notBefore.toISOString()).toBe('2027-03-01T10:20:30.000Z');
    expect((notAfter.getTime() - notBefore.getTime()) / 86_400_000).toBe(999_999);
  });

  it('are issued and signed by the identity, says OpenSSL', () => {
    const ca = new X509Certificate(identity.certificate);
    const leaf = new X509Certificate(online.certificate);
    expect(ca.checkIssued(ca) && ca.verify(ca.publicKey)).toBe(true);
    expect(leaf.checkIssued(ca) && leaf.verify(ca.publicKey)).toBe(true);
  });

  it('belong together, and their keys are theirs', () => {
    expect(verifyCertificatePair(online.certificate, identity.certificate, now).commonName).toBe(
      'relay.example',
    );
    for (const { certificate, privateKey } of [identity, online])
      expect(hex(readCertificate(certificate).publicKey)).toBe(hex(publicKeyOf(privateKey)));
  });

  it('have positive serial numbers of 20 bytes that do not repeat', () => {
    const serials = Array.from(
      { length: 20 },
      () => new X509Certificate(createIdentityCertificate(algorithm).certificate).serialNumber,
    );
    expect(new Set(serials).size).toBe(20);
    for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{39}$/);
  });

  it('can be renewed: a second online certificate belongs to the same identity', () => {
    const other = algorithm === 'ed448' ? 'ed25519' : 'ed448';
    const renewed = createOnlineCertificate({ identity, algorithm: other, commonName: '127.0.0.1' });
    verifyCertificatePair(renewed.certificate, identity.certificate, new Date());
  });
});

describe('creating an online certificate', () => {
  const identity = createIdentityCertificate('ed25519');
  const create = (commonName: string) =>
    createOnlineCertificate({ identity, algorithm: 'ed25519', commonName });

  it('takes names of 1 to 64 characters', () => {
    expect(readCertificate(create('x'.repeat(64)).certificate).commonName).toHaveLength(64);
    expect(() => create('x'.repeat(65))).toThrow(failing('INVALID_ARGUMENT'));
    expect(() => create('')).toThrow(failing('INVALID_ARGUMENT'));
  });

  it('needs the key of the identity, and readable ones', () => {
    const { privateKey } = generateKeyPair('ed25519');
    const withIdentity = (other: typeof identity) => () =>
      createOnlineCertificate({ identity: other, algorithm: 'ed25519', commonName: 'x' });
    expect(withIdentity({ ...identity, privateKey })).toThrow(failing('INVALID_KEY'));
    expect(withIdentity({ ...identity, certificate: new Uint8Array(9) })).toThrow(
      failing('INVALID_CERTIFICATE'),
    );
  });
});

describe('certificates do not belong together', () => {
  const identity = createIdentityCertificate('ed25519', now);
  const online = createOnlineCertificate({
    identity,
    algorithm: 'ed25519',
    commonName: 'relay.example',
    now,
  });
  const check =
    (leaf: Uint8Array, ca: Uint8Array, time = now) =>
    () =>
      verifyCertificatePair(leaf, ca, time);

  it('when the online one is from another identity of the same name', () => {
    const other = createIdentityCertificate('ed25519', now);
    expect(check(online.certificate, other.certificate)).toThrow(/not signed by its identity/);
    expect(check(online.certificate, other.certificate)).toThrow(failing('IDENTITY_MISMATCH'));
  });

  it('when the issuer is named differently', () => {
    expect(check(online.certificate, online.certificate)).toThrow(/not issued by/);
  });

  it('before and after the online certificate is valid', () => {
    expect(check(online.certificate, identity.certificate, new Date('2027-03-01T10:20:29Z'))).toThrow(
      /from 2027-03-01/,
    );
    expect(check(online.certificate, identity.certificate, new Date('+010000-01-01'))).toThrow(/expired on/);
    expect(check(online.certificate, identity.certificate, new Date('4764-01-01'))).not.toThrow();
  });

  it('when either is in no readable form', () => {
    expect(check(new Uint8Array(), identity.certificate)).toThrow(failing('IDENTITY_MISMATCH'));
    expect(check(online.certificate, new Uint8Array([1, 2, 3]))).toThrow(failing('IDENTITY_MISMATCH'));
  });

  it('when any byte of the online one has changed', () => {
    fc.assert(
      fc.property(damaged(online.certificate), (other) => {
        fc.pre(hex(other) !== hex(online.certificate));
        expect(check(other, identity.certificate)).toThrow(failing('IDENTITY_MISMATCH'));
      }),
      { numRuns: 500 },
    );
  });

  it('or do, or fail with IDENTITY_MISMATCH, when any byte of the identity has changed', () => {
    fc.assert(
      fc.property(damaged(identity.certificate), (other) => {
        try {
          verifyCertificatePair(online.certificate, other, now);
        } catch (error) {
          expect(isXftpError(error, 'IDENTITY_MISMATCH')).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('reading damaged certificates', () => {
  it.each(RECORDED_RELAYS)(
    'of the $algorithm relay gives INVALID_CERTIFICATE or a certificate',
    ({ online }) => {
      fc.assert(
        fc.property(damaged(online.certificate), (other) => {
          try {
            readCertificate(other);
          } catch (error) {
            expect(isXftpError(error, 'INVALID_CERTIFICATE')).toBe(true);
          }
        }),
        { numRuns: 1000 },
      );
    },
  );

  it('refuses bytes behind the certificate', () => {
    for (const { online } of RECORDED_RELAYS)
      expect(() => readCertificate(new Uint8Array([...online.certificate, 0]))).toThrow(
        failing('INVALID_CERTIFICATE'),
      );
  });
});

describe('certificates made by the openssl program', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'xftp-certificate-'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  /** An online certificate with these extensions, or of version 1 without any, signed by the openssl program. */
  function issue(
    identity: { certificate: Uint8Array; privateKey: Uint8Array },
    extensions: string,
  ): Uint8Array {
    const path = (name: string): string => join(folder, name);
    const openssl = (...options: string[]): void => {
      execFileSync('openssl', options, { stdio: 'pipe' });
    };
    writeFileSync(path('ca.crt'), pemEncode('CERTIFICATE', identity.certificate));
    writeFileSync(path('ca.key'), pemEncode('PRIVATE KEY', identity.privateKey));
    writeFileSync(path('leaf.key'), pemEncode('PRIVATE KEY', generateKeyPair('ed25519').privateKey));
    writeFileSync(path('extensions'), extensions);
    openssl('req', '-new', '-key', path('leaf.key'), '-subj', '/CN=localhost', '-out', path('leaf.csr'));
    const more = extensions === '' ? [] : ['-extfile', path('extensions')];
    openssl(
      ...['x509', '-req', '-in', path('leaf.csr'), '-CA', path('ca.crt'), '-CAkey', path('ca.key')],
      ...['-set_serial', '7', '-days', '10', '-out', path('leaf.crt'), ...more],
    );
    return pemDecode(readFileSync(path('leaf.crt'), 'utf8'), 'CERTIFICATE');
  }

  it('belong to our identity, unless of version 1 or with an unknown critical extension', () => {
    const identity = createIdentityCertificate('ed448');
    const check = (extensions: string) => () =>
      verifyCertificatePair(issue(identity, extensions), identity.certificate, new Date());
    expect(check('basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature')).not.toThrow();
    expect(check('1.2.3.4=ASN1:UTF8String:x')).not.toThrow();
    expect(check('1.2.3.4=critical,ASN1:UTF8String:x')).toThrow(/critical extension/);
    expect(check('')).toThrow(/not of version 3/);
  });
});
