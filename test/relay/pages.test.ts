import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';

import { describe, expect, it } from 'vitest';

import { findPage, type Page, readPages } from '#src/relay/web/pages.js';

import { connectBrowser, webCertificate, type WebReply, webRequest } from '../support/browser-client.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { testRelay } from '../support/test-relay.js';

const HOME = '<title>A relay</title>'.repeat(100);

/** A site with all that must and must not be published. */
async function site(): Promise<string> {
  const folder = await temporaryFolder();
  const www = join(folder, 'www');
  await mkdir(join(www, 'file'), { recursive: true });
  await mkdir(join(www, 'well-known'));
  await mkdir(join(www, '.git'));
  await writeFile(join(folder, 'secret.txt'), 'secret');
  await writeFile(join(www, 'index.html'), HOME);
  await writeFile(join(www, 'file', 'index.html'), 'transfer');
  await writeFile(join(www, 'file', 'a b.js'), 'script');
  await writeFile(join(www, 'logo.png'), Buffer.alloc(300_000, 7));
  await writeFile(join(www, 'well-known', 'security.txt'), 'contact');
  await writeFile(join(www, '.git', 'config'), 'hidden');
  await symlink(join(folder, 'secret.txt'), join(www, 'link.txt'));
  await symlink(folder, join(www, 'up'));
  execFileSync('mkfifo', [join(www, 'pipe')]);
  return www;
}

function text(page: Page | undefined): string | undefined {
  return page?.content.toString();
}

describe('the page of a path', () => {
  it.each([
    ['/', HOME],
    ['/index.html', HOME],
    ['/?from=link#part', HOME],
    ['/file', 'transfer'],
    ['/file/', 'transfer'],
    ['/file/index.html', 'transfer'],
    ['/file/a%20b.js', 'script'],
    ['/.well-known/security.txt', 'contact'],
    ['/well-known/security.txt', 'contact'],
  ])('%s is found', async (path, content) => {
    expect(text(findPage(await readPages(await site()), path))).toBe(content);
  });

  it.each([
    '/nothing.html',
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/file/../../secret.txt',
    '/file%2f..%2f..%2fsecret.txt',
    '/..%5csecret.txt',
    '//secret.txt',
    '/link.txt',
    '/up/secret.txt',
    '/.git/config',
    '/pipe',
    '/index.html%00.png',
    '/%zz',
    '*',
    'https://localhost/index.html',
    '/__proto__',
  ])('%s is not found', async (path) => {
    expect(text(findPage(await readPages(await site()), path))).toBeUndefined();
  });
});

it('pages that are too large for memory are refused with a sentence', async () => {
  const www = await site();
  await writeFile(join(www, 'huge.bin'), '');
  await truncate(join(www, 'huge.bin'), 65 * 1024 ** 2);
  await expect(readPages(www)).rejects.toThrow(/more than 64 MiB; set static_path in \[WEB\]/);
});

describe('a browser gets', () => {
  async function get(path: string, headers: Record<string, string | string[]> = {}): Promise<WebReply> {
    const relay = await testRelay({ web: { certificate: webCertificate, pagesPath: await site() } });
    const client = await connectBrowser({ port: relay.port });
    return await webRequest(client, { ':method': 'GET', ':path': path, ...headers });
  }

  it('a page with its type and nothing else in the headers, as from the reference', async () => {
    const { headers, body } = await get('/');
    expect(headers).toEqual({ ':status': 200, 'content-type': 'text/html' });
    expect(body.toString()).toBe(HOME);
  });

  it('a page compressed, if it takes that and the type gains by it', async () => {
    const { headers, body } = await get('/', { 'accept-encoding': 'br, gzip;q=0.8' });
    expect(headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(body).toString()).toBe(HOME);
    const picture = await get('/logo.png', { 'accept-encoding': 'gzip' });
    expect(picture.headers).toEqual({ ':status': 200, 'content-type': 'image/png' });
    expect(picture.body.length).toBe(300_000);
    expect((await get('/', { 'accept-encoding': 'gzip;q=0' })).body.toString()).toBe(HOME);
  });

  it('the head of a page without its body for HEAD', async () => {
    const { headers, body } = await get('/', { ':method': 'HEAD' });
    expect(headers).toEqual({ ':status': 200, 'content-type': 'text/html' });
    expect(body.length).toBe(0);
  });

  it('404 where there is nothing', async () => {
    const { headers, body } = await get('/nothing');
    expect(headers[':status']).toBe(404);
    expect(body.toString()).toBe('There is no such page on this relay.\n');
  });

  it('a page with as many cookies as a domain may have', async () => {
    const headers = {
      cookie: Array.from({ length: 100 }, (_, index) => `c${String(index)}=${'x'.repeat(100)}`),
    };
    expect((await get('/', headers)).body.toString()).toBe(HOME);
  });

  it('a large page on a slow link, although it is longer on its way than a handshake may take', async () => {
    const protocolHandshakeMs = 300;
    const relay = await testRelay({
      web: { certificate: webCertificate, pagesPath: await site() },
      limits: { protocolHandshakeMs },
    });
    const client = await connectBrowser({ port: relay.port, window: 50_000 });
    const begun = performance.now();
    const stream = client.start({ ':method': 'GET', ':path': '/logo.png' }, true);
    let length = 0;
    for await (const piece of stream) {
      length += (piece as Buffer).length;
      await wait(100);
    }
    expect(length).toBe(300_000);
    expect(performance.now() - begun).toBeGreaterThan(protocolHandshakeMs);
    const { headers } = await webRequest(client, { ':method': 'GET', ':path': '/nothing' });
    expect(headers[':status']).toBe(404);
    // Who asks for nothing more is not served for ever.
    await once(client.http2, 'close');
  });

  it('404 from a relay whose folder of pages is missing, which says so and serves chunks all the same', async () => {
    const pagesPath = join(await temporaryFolder(), 'missing');
    const relay = await testRelay({ web: { certificate: webCertificate, pagesPath } });
    const client = await connectBrowser({ port: relay.port });
    const { headers } = await webRequest(client, { ':method': 'GET' });
    expect(headers[':status']).toBe(404);
    expect(relay.problems).toEqual([
      `The web pages in ${pagesPath} cannot be read: it does not exist; make the folder, or take static_path out of [WEB].`,
    ]);
    expect((await (await relay.client()).command({ type: 'PING' })).response.type).toBe('PONG');
  });
});
