import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { decodeServerHello } from '#src/protocol/index.js';
import { createOnlineCertificate, fingerprintOf } from '#src/crypto/index.js';
import { createCredentials, readWebCertificate } from '#src/relay/index.js';

import {
  AS_BROWSER,
  connectBrowser,
  fingerprint256,
  openBrowser,
  rsaCertificate,
  shakeHands,
  webCertificate,
} from '../support/browser-client.js';
import { asSender, openTls, RawClient } from '../support/raw-client.js';
import { runServer, type ServerProcess, startServerProcess } from '../support/server-process.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { chunkBytes, testRelay } from '../support/test-relay.js';

/** Fresh credentials of a relay, and the same identity with another online certificate. */
function renewableCredentials(): { before: ReturnType<typeof createCredentials>; after: typeof before } {
  const before = createCredentials('ed25519', 'localhost');
  const online = createOnlineCertificate({
    identity: before.identity,
    algorithm: 'ed448',
    commonName: 'renewed',
  });
  return { before, after: { ...before, online } };
}

/** What the relay shows in TLS to somebody new. */
async function shownTo(port: number, options: object = {}): Promise<string> {
  const socket = await openTls({ port, ...options });
  const { fingerprint256: shown } = socket.getPeerCertificate();
  socket.destroy();
  return shown;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

describe('new certificates', () => {
  it('are shown to new clients, while an upload under way and handshakes that have begun end as they began', async () => {
    const { before, after } = renewableCredentials();
    const relay = await testRelay({ credentials: before, web: { certificate: webCertificate } });
    const uploading = await relay.client();
    const chunk = await uploading.create(chunkBytes());
    const upload = uploading.start();
    const reply = RawClient.reply(upload);
    upload.write(uploading.block({ type: 'FPUT' }, asSender(chunk)));
    upload.write(chunk.bytes.subarray(0, 30_000));
    const greeted = await RawClient.connect({ port: relay.port });
    const browser = await connectBrowser({ port: relay.port });
    onTestFinished(() => greeted.close());

    const renewed = rsaCertificate();
    await relay.show({ credentials: after, web: { certificate: renewed } });

    upload.end(chunk.bytes.subarray(30_000));
    expect((await reply).body.length).toBe(16384);
    expect(Buffer.from(chunk.bytes).equals(Buffer.from(await uploading.get(chunk)))).toBe(true);
    // The hello must be signed with the certificate that TLS has shown.
    const hello = decodeServerHello((await greeted.request()).body);
    expect(hello.certificates.map(hexOf)).toEqual([
      hexOf(before.online.certificate),
      hexOf(before.identityCertificate),
    ]);
    await shakeHands(browser, relay.fingerprint);

    const fresh = await relay.client();
    expect(hexOf(fresh.socket.getPeerCertificate().raw)).toBe(hexOf(after.online.certificate));
    expect(hexOf(fresh.hello?.certificates[0] ?? new Uint8Array())).toBe(hexOf(after.online.certificate));
    expect(await shownTo(relay.port, AS_BROWSER)).toBe(fingerprint256(renewed.chain));
    await openBrowser(relay);
  });

  it('of another identity are refused, and nothing changes', async () => {
    const relay = await testRelay();
    await expect(relay.show({ credentials: createCredentials('ed25519', 'localhost') })).rejects.toThrow(
      'The certificates belong to another relay',
    );
    const client = await relay.client();
    expect(hexOf(fingerprintOf(client.hello?.certificates[1] ?? new Uint8Array()))).toBe(
      hexOf(relay.fingerprint),
    );
  });

  it('may begin and end the service for browsers', async () => {
    const credentials = createCredentials('ed25519', 'localhost');
    const relay = await testRelay({ credentials });
    const native = await shownTo(relay.port);
    expect(await shownTo(relay.port, { servername: 'localhost' })).toBe(native);
    await relay.show({ credentials, web: { certificate: webCertificate } });
    await openBrowser(relay);
    await relay.show({ credentials });
    expect(await shownTo(relay.port, { servername: 'localhost' })).toBe(native);
  });
});

describe('a program', () => {
  async function startWithWeb(): Promise<{ home: string; server: ServerProcess }> {
    const home = await temporaryFolder();
    await runServer(home, ['init', '-p', join(home, 'files'), '-q', '1gb', '-n', 'localhost']);
    const ini = join(home, 'etc', 'file-server.ini');
    await mkdir(join(home, 'var', 'www'));
    await writeFile(join(home, 'etc', 'web.crt'), webCertificate.chain);
    await writeFile(join(home, 'etc', 'web.key'), webCertificate.key);
    const text = (await readFile(ini, 'utf8')).replace('port: 443', 'port: 0').replace(/^# cert:/m, 'cert:');
    await writeFile(ini, text);
    // One from the INI and one from the environment, which both count at SIGHUP too.
    const env = { XFTP_WEB_KEY: join(home, 'etc', 'web.key') };
    return { home, server: await startServerProcess(home, env) };
  }

  it('reads both certificates again on SIGHUP, after `cert`, and keeps its connections', async () => {
    const { home, server } = await startWithWeb();
    const { port } = server;
    const kept = await connectBrowser({ port });
    const before = await shownTo(port);
    expect((await runServer(home, ['cert'])).stdout).toMatch(/SIGHUP/);
    const renewed = rsaCertificate();
    await writeFile(join(home, 'etc', 'web.crt'), renewed.chain);
    await writeFile(join(home, 'etc', 'web.key'), renewed.key);
    server.signal('SIGHUP');
    await expect.poll(() => server.output().stdout).toContain('Certificates and web pages read again');
    expect(await shownTo(port)).not.toBe(before);
    expect(await shownTo(port, AS_BROWSER)).toBe(fingerprint256(renewed.chain));
    expect((await RawClient.reply(kept.start({ ':method': 'OPTIONS' }, true))).status).toBe(200);
    expect(await server.end('SIGTERM')).toBe(0);
  });

  it('says on SIGHUP that other changes of the INI wait for the next start', async () => {
    const { home, server } = await startWithWeb();
    const ini = join(home, 'etc', 'file-server.ini');
    const text = await readFile(ini, 'utf8');
    await writeFile(ini, text.replace(/^new_files: on/m, 'new_files: off'));
    expect(await readFile(ini, 'utf8')).not.toBe(text);
    server.signal('SIGHUP');
    await expect
      .poll(() => server.output().stderr)
      .toBe('What else has changed in the INI takes effect when the relay is started again.\n');
    expect(await server.end('SIGTERM')).toBe(0);
  });

  it('says on SIGHUP that half of a web certificate is not used', async () => {
    const { home, server } = await startWithWeb();
    const ini = join(home, 'etc', 'file-server.ini');
    await writeFile(ini, (await readFile(ini, 'utf8')).replace(/^cert:/m, '# cert:'));
    server.signal('SIGHUP');
    await expect.poll(() => server.output().stdout).toContain('Certificates and web pages read again');
    expect(server.output().stderr).toBe(
      '[WEB] key has no effect: the web certificate is not used without cert; set cert too.\n',
    );
    expect(await shownTo(server.port, AS_BROWSER)).toBe(await shownTo(server.port));
    expect(await server.end('SIGTERM')).toBe(0);
  });

  it('goes on with the certificates it has when those that it finds cannot be used, and says why', async () => {
    const { home, server } = await startWithWeb();
    const before = await shownTo(server.port, AS_BROWSER);
    await writeFile(join(home, 'etc', 'web.key'), rsaCertificate().key);
    server.signal('SIGHUP');
    await expect
      .poll(() => server.output().stderr)
      .toMatch(
        /^The relay goes on with the certificates it has\. \S+web\.key is not the key of \S+web\.crt; set cert and key in \[WEB\] to a pair\.\n$/,
      );
    expect(await shownTo(server.port, AS_BROWSER)).toBe(before);
    expect(await server.end('SIGTERM')).toBe(0);
  });
});

describe('a web certificate that cannot be used is one sentence:', () => {
  it.each([
    [
      'a missing certificate',
      undefined,
      webCertificate.key,
      /web\.crt cannot be read: it does not exist; set cert in \[WEB\] to the right path\.$/,
    ],
    [
      'a missing key',
      webCertificate.chain,
      undefined,
      /web\.key cannot be read: it does not exist; set key in \[WEB\] to the right path\.$/,
    ],
    [
      'no certificate',
      'text',
      webCertificate.key,
      /web\.crt does not hold a certificate in PEM form; set cert in \[WEB\]\.$/,
    ],
    [
      'no key',
      webCertificate.chain,
      'text',
      /web\.key does not hold a private key in PEM form without a password; set key in \[WEB\]\.$/,
    ],
  ])('%s', async (_what, certificate, key, message) => {
    const folder = await temporaryFolder();
    const paths = [join(folder, 'web.crt'), join(folder, 'web.key')] as const;
    if (certificate !== undefined) await writeFile(paths[0], certificate);
    if (key !== undefined) await writeFile(paths[1], key);
    await expect(readWebCertificate(...paths)).rejects.toThrow(message);
  });
});
