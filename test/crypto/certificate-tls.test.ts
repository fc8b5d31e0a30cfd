import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import {
  createIdentityCertificate,
  createOnlineCertificate,
  fingerprintOf,
  pemEncode,
  verifyCertificatePair,
} from '#src/crypto/index.js';
import { hex } from './byte-arbitraries.js';

/** What official clients offer (protocol reference, section 15.3). */
const OFFICIAL = {
  ciphers: 'TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-CHACHA20-POLY1305',
  sigalgs: 'ed448:ed25519',
  ecdhCurve: 'X448:X25519',
  minVersion: 'TLSv1.2',
} as const;

describe.each(['ed25519', 'ed448'] as const)('TLS with created %s certificates', (algorithm) => {
  const identity = createIdentityCertificate(algorithm);
  const online = createOnlineCertificate({ identity, algorithm, commonName: '127.0.0.1' });

  it.each(['TLSv1.3', 'TLSv1.2'] as const)('%s works and shows the two of them', async (version) => {
    const server = createServer({
      ...OFFICIAL,
      key: pemEncode('PRIVATE KEY', online.privateKey),
      cert: pemEncode('CERTIFICATE', online.certificate) + pemEncode('CERTIFICATE', identity.certificate),
    });
    server.on('secureConnection', (socket) => socket.end());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo; // listens on a TCP port
    const socket = connect({
      ...OFFICIAL,
      port,
      host: '127.0.0.1',
      maxVersion: version,
      rejectUnauthorized: false,
    });
    try {
      await once(socket, 'secureConnect');
      expect(socket.getProtocol()).toBe(version);
      checkShown(socket);
    } finally {
      socket.destroy();
      server.close();
      await once(server, 'close');
    }
  });

  function checkShown(socket: TLSSocket): void {
    const leaf = socket.getPeerX509Certificate();
    const ca = leaf?.issuerCertificate;
    if (leaf === undefined || ca === undefined) throw new Error('The server did not show two certificates.');
    expect(hex(leaf.raw)).toBe(hex(online.certificate));
    expect(hex(fingerprintOf(ca.raw))).toBe(hex(fingerprintOf(identity.certificate)));
    verifyCertificatePair(leaf.raw, ca.raw, new Date());
  }
});
