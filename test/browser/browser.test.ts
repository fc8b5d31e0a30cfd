import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';

import { encodeBase64Url } from '#src/protocol/index.js';

import { webCertificate } from '../support/browser-client.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { type TestRelay, testRelay } from '../support/test-relay.js';
import { hasChromium, openPage } from './chromium.js';

const present = hasChromium();
if (!present)
  process.stderr.write('Skipped: no program `chromium` here (Debian: apt-get install chromium).\n');

/** A relay with a page whose script is a client. */
async function relayWithPage(): Promise<TestRelay> {
  const pagesPath = await temporaryFolder();
  const page = '<!doctype html><title>Relay page</title><script src="/client.js"></script>';
  await writeFile(join(pagesPath, 'index.html'), page);
  await build({
    entryPoints: ['test/browser/page-script.ts'],
    outfile: join(pagesPath, 'client.js'),
    bundle: true,
    format: 'iife',
    platform: 'browser',
    logLevel: 'error',
  });
  return await testRelay({ web: { certificate: webCertificate, pagesPath } });
}

function originOf(relay: TestRelay): string {
  return `https://localhost:${String(relay.port)}/`;
}

describe.skipIf(!present)('Chromium', () => {
  it('fetches the page of a relay, and sends and receives a chunk from its script', async () => {
    const relay = await relayWithPage();
    const page = await openPage(originOf(relay));
    expect(await page.evaluate('document.title')).toBe('Relay page');
    for (const size of [65536, 1048576])
      expect(
        await page.evaluate(`transferChunk(${JSON.stringify(originOf(relay))}, ${String(size)})`),
      ).toEqual({
        fingerprint: encodeBase64Url(relay.fingerprint),
        uploaded: 'OK',
        received: size,
        deleted: 'OK',
      });
    expect(relay.problems).toEqual([]);
  });

  it('sends and receives a chunk on another relay, which its preflight allows', async () => {
    const first = await relayWithPage();
    const other = await testRelay({ web: { certificate: webCertificate } });
    const page = await openPage(originOf(first));
    const result = await page.evaluate(`transferChunk(${JSON.stringify(originOf(other))}, 65536)`);
    expect(result).toMatchObject({ fingerprint: encodeBase64Url(other.fingerprint), received: 65536 });
  });
});
