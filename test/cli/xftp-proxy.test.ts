import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import { startSocksServer } from '../support/socks-server.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { testRelay } from '../support/test-relay.js';
import { expectFailure, makeFile, xftp } from '../support/transfers.js';

it('a file goes to a relay that only the proxy knows, comes back and is deleted, all through the proxy', async () => {
  const relay = await testRelay();
  const proxy = await startSocksServer({ target: () => relay.port });
  const host = `${'c'.repeat(56)}.onion`;
  const address = relay.address.replace(/@[^:]+/, `@${host}`);
  const folder = await temporaryFolder();
  const source = await makeFile(folder, 300_000, 'photo.jpg');
  const through = ['--socks-proxy', `127.0.0.1:${String(proxy.port)}`];

  const sent = await xftp(['send', source, folder, '-n', '2', '-s', address, ...through]);
  expect([sent.exitCode, sent.stderr]).toEqual([0, '']);
  const descriptions = join(folder, 'photo.jpg.xftp');
  const received = join(folder, 'received.jpg');
  const recv = await xftp(['recv', join(descriptions, 'rcv1.xftp'), received, ...through]);
  expect(recv.exitCode).toBe(0);
  expect(readFileSync(received).equals(readFileSync(source))).toBe(true);
  const del = await xftp(['del', join(descriptions, 'snd.xftp.private'), '-y', ...through]);
  expect(del.exitCode).toBe(0);

  expect(new Set(proxy.requests.map((request) => request.host))).toEqual(new Set([host]));
  // Each run has credentials of its own.
  expect(new Set(proxy.requests.map(({ user }) => user)).size).toBe(3);
  const other = await xftp(['recv', join(descriptions, 'rcv2.xftp'), folder, ...through]);
  expectFailure(other, 'CHUNK_GONE', /no longer has/);
});

it('without the proxy that it needs, or with one that is not there, nothing is sent', async () => {
  const relay = await testRelay();
  const folder = await temporaryFolder();
  const source = await makeFile(folder, 1000);
  const onion = relay.address.replace(/@[^:]+/, `@${'c'.repeat(56)}.onion`);
  const direct = await xftp(['send', source, folder, '-s', onion]);
  expectFailure(direct, 'TOR_REQUIRED', /Tor only: set a SOCKS proxy/);
  const required = await xftp(['send', source, folder, '-s', relay.address, '--onion-hosts', 'require']);
  expectFailure(required, 'INVALID_ARGUMENT', /needs a proxy: add --socks-proxy/);
  const nobody = ['--socks-proxy', '127.0.0.1:1', '-r', '1'];
  const failed = await xftp(['send', source, folder, '-s', relay.address, ...nobody]);
  expectFailure(failed, 'PROXY_FAILED', /SOCKS proxy 127\.0\.0\.1:1: nothing listens there/);
});
