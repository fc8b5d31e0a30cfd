import { once } from 'node:events';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';
import { gunzipSync } from 'node:zlib';

import { describe, expect, it, onTestFinished } from 'vitest';

import { createCredentials, parseRelayConfig, type RelayOptions } from '#src/relay/index.js';

import { fingerprint256, rsaCertificate, webCertificate } from '../support/browser-client.js';
import { runServer, startServerProcess } from '../support/server-process.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { type TestRelay, testRelay } from '../support/test-relay.js';

const HOME = '<title>A relay</title>'.repeat(100);
const PICTURE = Buffer.alloc(300_000, 7);
const credentials = createCredentials('ed25519', 'localhost');

async function site(): Promise<string> {
  const www = await temporaryFolder();
  await mkdir(join(www, 'file'));
  await writeFile(join(www, 'index.html'), HOME);
  await writeFile(join(www, 'logo.png'), PICTURE);
  return www;
}

async function siteRelay(web: RelayOptions['web'] = {}): Promise<TestRelay> {
  return await testRelay({ credentials, web: { httpPort: 0, pagesPath: await site(), ...web } });
}

interface Page {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Of the certificate that was shown. */
  readonly shown: string | undefined;
}

async function get(
  kind: 'http' | 'https',
  port: number | undefined,
  path: string,
  options: { readonly method?: string; readonly headers?: Record<string, string> } = {},
): Promise<Page> {
  const place = { host: '127.0.0.1', port, path, agent: false, rejectUnauthorized: false, ...options };
  const request = kind === 'http' ? httpRequest(place) : httpsRequest(place);
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const { socket } = response;
  const shown = socket instanceof TLSSocket ? socket.getPeerCertificate().fingerprint256 : undefined;
  const pieces: Buffer[] = [];
  for await (const piece of response) pieces.push(piece as Buffer);
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(pieces), shown };
}

describe('the port for web pages over HTTP', () => {
  it('gives pages as a whole, compressed if the browser takes that', async () => {
    const [port] = (await siteRelay()).sitePorts.http;
    const home = await get('http', port, '/');
    expect([home.status, home.body.toString()]).toEqual([200, HOME]);
    expect(home.headers).toMatchObject({
      'content-type': 'text/html',
      'content-length': String(HOME.length),
    });
    const compressed = await get('http', port, '/', { headers: { 'accept-encoding': 'gzip' } });
    expect(gunzipSync(compressed.body).toString()).toBe(HOME);
    expect((await get('http', port, '/logo.png')).body).toEqual(PICTURE);
  });

  it('gives nothing but pages', async () => {
    const [port] = (await siteRelay()).sitePorts.http;
    expect((await get('http', port, '/nothing')).status).toBe(404);
    const head = await get('http', port, '/', { method: 'HEAD' });
    expect([head.status, head.body.length]).toEqual([200, 0]);
    const posted = await get('http', port, '/', { method: 'POST' });
    expect([posted.status, posted.headers.allow]).toEqual([405, 'GET, HEAD']);
  });

  it('shows new pages after a renewal, with no certificate before or after', async () => {
    const relay = await siteRelay();
    const [port] = relay.sitePorts.http;
    const pagesPath = await temporaryFolder();
    await writeFile(join(pagesPath, 'index.html'), 'new');
    await relay.show({ credentials, web: { pagesPath, httpPort: 0 } });
    expect((await get('http', port, '/')).body.toString()).toBe('new');
    // A site that is being replaced.
    await rename(pagesPath, `${pagesPath}.away`);
    await relay.show({ credentials, web: { pagesPath, httpPort: 0 } });
    expect(relay.problems).toEqual([expect.stringContaining(`${pagesPath} cannot be read`)]);
    expect((await get('http', port, '/')).body.toString()).toBe('new');
    await rename(`${pagesPath}.away`, pagesPath);
  });

  it('that another program has is told of, and the relay works without it', async () => {
    const other = createServer().listen(0);
    await once(other, 'listening');
    onTestFinished(() => {
      other.close();
    });
    const { port } = other.address() as AddressInfo;
    const relay = await siteRelay({ httpPort: port });
    expect(relay.problems).toEqual([
      `The relay cannot listen on 127.0.0.1, port ${String(port)}: another program listens there already; ` +
        'stop that one, or set another port in [WEB] of file-server.ini.',
    ]);
    expect(relay.sitePorts).toEqual({ http: [], https: [] });
    expect((await (await relay.client()).command({ type: 'PING' })).response.type).toBe('PONG');
  });
});

describe('the port for web pages over HTTPS', () => {
  it('shows the web certificate, and the next one after its renewal', async () => {
    const relay = await siteRelay({ certificate: webCertificate, httpsPort: 0 });
    const [port] = relay.sitePorts.https;
    const first = await get('https', port, '/');
    expect([first.body.toString(), first.shown]).toEqual([HOME, fingerprint256(webCertificate.chain)]);
    const renewed = rsaCertificate();
    await relay.show({ credentials, web: { certificate: renewed } });
    const second = await get('https', port, '/');
    expect([second.status, second.shown]).toEqual([404, fingerprint256(renewed.chain)]);
  });

  it('does not hold up the end of the relay with a handshake that stands still', async () => {
    const relay = await siteRelay({ certificate: webCertificate, httpsPort: 0 });
    const idle = connect(relay.sitePorts.https[0] ?? 0, '127.0.0.1');
    await once(idle, 'connect');
    const ended = once(idle.resume(), 'close');
    // The server has to know of the connection.
    await get('https', relay.sitePorts.https[0], '/');
    await relay.stop();
    await ended;
  });

  it('is not there without a certificate', async () => {
    expect((await siteRelay({ httpsPort: 0 })).sitePorts.https).toEqual([]);
  });
});

describe('keys in [WEB]', () => {
  const INI = '[TRANSPORT]\nport: 443\n[FILES]\npath: /srv\n[WEB]\n';
  const CERTIFICATE = 'cert: /web.crt\nkey: /web.key\n';

  it('name the ports of pages', () => {
    const { web, remarks } = parseRelayConfig(
      `${INI}${CERTIFICATE}static_path: /www\nhttp: 8000\nhttps: 8443\n`,
      'file',
    );
    expect(web).toMatchObject({ httpPort: 8000, httpsPort: 8443 });
    expect(remarks).toEqual([]);
  });

  it.each([
    ['http: 8000\n', 'http has no effect: there are no pages without static_path'],
    [`${CERTIFICATE}https: 8443\n`, 'https has no effect: there are no pages without static_path'],
    ['static_path: /www\nhttps: 8443\n', 'https has no effect: it needs cert and key'],
    [
      'static_path: /www\nhttp: 443\n',
      "http has no effect: port 443 is the relay's own, where there is only TLS",
    ],
    [
      `${CERTIFICATE}static_path: /www\nhttps: 443\n`,
      "https has no effect: port 443 is the relay's own, where browsers get the pages in any case",
    ],
    [
      `${CERTIFICATE}static_path: /www\nhttps: 443\nhttp: 443\n`,
      "http has no effect: port 443 is the relay's own, where there is only TLS",
      "https has no effect: port 443 is the relay's own, where browsers get the pages in any case",
    ],
  ])('that cannot have an effect are told of: %j', (keys, ...told) => {
    const { web, remarks } = parseRelayConfig(INI + keys, 'file');
    expect(remarks).toEqual(told.map((remark) => `[WEB] ${remark}.`));
    expect(web).toMatchObject({ httpPort: undefined, httpsPort: undefined });
  });

  it('on the same port are told of, and http has it', () => {
    const keys = `${CERTIFICATE}static_path: /www\nhttp: 8000\nhttps: 8000\n`;
    const { web, remarks } = parseRelayConfig(INI + keys, 'file');
    expect(remarks).toEqual(['[WEB] https has no effect: port 8000 is that of http.']);
    expect(web).toMatchObject({ httpPort: 8000, httpsPort: undefined });
  });

  it.each([
    ['cert', 'key'],
    ['key', 'cert'],
  ])('with %s and without %s, which is told of, have no certificate', (there, missing) => {
    const { web, remarks } = parseRelayConfig(`${INI}${there}: /web.pem\n`, 'file');
    expect(remarks).toEqual([
      `[WEB] ${there} has no effect: the web certificate is not used without ${missing}; set ${missing} too.`,
    ]);
    expect(web.certificate).toBeUndefined();
  });
});

it('xftp-server start says where the pages are, and starts with half of a web certificate', async () => {
  const home = await temporaryFolder();
  const init = ['init', '-p', join(home, 'srv'), '-q', '1gb', '--ip', '127.0.0.1', '-a', 'ED25519'];
  expect((await runServer(home, [...init, '--web-path', await site()])).code).toBe(0);
  const server = await startServerProcess(home, {
    XFTP_TRANSPORT_PORT: '0',
    XFTP_WEB_HTTP: '0',
    XFTP_WEB_CERT: '/missing.crt',
  });
  const { stdout, stderr } = server.output();
  expect(stderr).toBe(
    '[WEB] cert has no effect: the web certificate is not used without key; set key too.\n',
  );
  const port = Number(/^Web pages: HTTP on port (\d+)$/m.exec(stdout)?.[1]);
  expect((await get('http', port, '/')).body.toString()).toBe(HOME);
  expect(await server.end('SIGTERM')).toBe(0);
});
