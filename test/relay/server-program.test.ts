import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { decodeBase64Url, parseServerAddress } from '#src/protocol/index.js';

import { asSender, RawClient } from '../support/raw-client.js';
import { runServer, startServerProcess } from '../support/server-process.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { chunkBytes } from '../support/test-relay.js';

/** An initialised server with a port of the system's choice, and its INI. */
async function initialized(
  ...options: string[]
): Promise<{ home: string; ini: string; fingerprint: Uint8Array }> {
  const home = await temporaryFolder();
  const { code, stderr } = await runServer(home, ['init', '-p', join(home, 'srv'), '-q', '1gb', ...options]);
  expect([code, stderr]).toEqual([0, '']);
  const ini = join(home, 'etc/file-server.ini');
  await edit(ini, 'port: 443', 'port: 0');
  const fingerprint = decodeBase64Url((await readFile(join(home, 'etc/fingerprint'), 'utf8')).trim());
  return { home, ini, fingerprint };
}

async function edit(path: string, from: string, to: string): Promise<void> {
  const text = await readFile(path, 'utf8');
  expect(text).toContain(from);
  await writeFile(path, text.replace(from, to));
}

async function connect(port: number, fingerprint: Uint8Array): Promise<RawClient> {
  const client = await RawClient.open({ port, fingerprint });
  onTestFinished(() => client.close());
  return client;
}

describe('xftp-server init', () => {
  it('writes credentials, fingerprint and INI, keys for the owner alone, and prints the address', async () => {
    const home = await temporaryFolder();
    const args = ['init', '-p', join(home, 'srv'), '-q', '10gb', '-n', 'relay.example', '-l'];
    const { code, stdout } = await runServer(home, args);
    expect(code).toBe(0);
    expect(stdout).toContain('Server initialized, you can modify configuration in ');
    expect(stdout).toContain('Run `xftp-server start` to start server.');
    const fingerprint = (await readFile(join(home, 'etc/fingerprint'), 'utf8')).trimEnd();
    expect(stdout).toContain(
      `Fingerprint: ${fingerprint}\nServer address: xftp://${fingerprint}@relay.example\n`,
    );
    expect(parseServerAddress(/Server address: (.*)/.exec(stdout)![1]!).hosts[0].text).toBe('relay.example');
    expect((await readdir(join(home, 'etc'))).sort()).toEqual(
      ['ca.crt', 'ca.key', 'file-server.ini', 'fingerprint', 'server.crt', 'server.key'].sort(),
    );
    for (const name of ['ca.key', 'server.key', 'file-server.ini'])
      expect((await stat(join(home, 'etc', name))).mode & 0o777).toBe(0o600);
    expect(await readFile(join(home, 'etc/file-server.ini'), 'utf8')).toMatch(/^enable: on$/m);
  });

  it('a second time fails and changes nothing', async () => {
    const { home, fingerprint } = await initialized();
    const again = await runServer(home, ['init', '-p', join(home, 'srv'), '-q', '1gb']);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain('Error: server is already initialized (INI exists).');
    expect(decodeBase64Url((await readFile(join(home, 'etc/fingerprint'), 'utf8')).trim())).toEqual(
      fingerprint,
    );
  });

  it('refuses folders that hold files of somebody else, and deletes none', async () => {
    const home = await temporaryFolder();
    await mkdir(join(home, 'etc'));
    await writeFile(join(home, 'etc/ca.key'), 'precious');
    const { code, stderr } = await runServer(home, ['init', '-p', join(home, 'srv'), '-q', '1gb']);
    expect(code).toBe(1);
    expect(stderr).toBe(
      `The folder ${join(home, 'etc')} is not empty (it holds "ca.key"): move its files away and run init again.\n`,
    );
    expect(await readFile(join(home, 'etc/ca.key'), 'utf8')).toBe('precious');
  });
});

describe('xftp-server start', () => {
  it('prints what the reference prints, listens, and ends with 0 on SIGTERM and SIGINT', async () => {
    const { home, ini, fingerprint } = await initialized('-a', 'ED25519', '-n', 'relay.example');
    await edit(ini, '# create_password: PASSWORD', 'create_password: s3cret');
    await edit(ini, '# source_code: https://', 'source_code: https://example.org');
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const server = await startServerProcess(home);
      const client = await connect(server.port, fingerprint);
      expect((await client.command({ type: 'PING' })).response.type).toBe('PONG');
      const idle = await connect(server.port, fingerprint);
      const idleClosed = new Promise((resolve) => idle.socket.once('close', resolve));
      expect(await server.end(signal)).toBe(0);
      await idleClosed;
      const { stdout, stderr } = server.output();
      expect(stderr).toBe('');
      const text = Buffer.from(fingerprint).toString('base64url');
      expect(stdout.split('\n')).toEqual([
        'xftp-server 0.1.0 (xftp-agent)',
        `Fingerprint: ${text}=`,
        `Server address: xftp://${text}=@relay.example:0`,
        'Server source code: https://example.org',
        `Store log: ${join(home, 'var/file-server-store.log')}`,
        'expiring files after 2 days',
        'not expiring inactive clients',
        'Uploading new files requires password.',
        `Listening on port ${String(server.port)}...`,
        'Server stopped',
        '',
      ]);
    }
  });

  it('lets an upload that is under way finish after SIGTERM', async () => {
    const { home, fingerprint } = await initialized('-a', 'ED25519');
    const server = await startServerProcess(home);
    const client = await connect(server.port, fingerprint);
    const chunk = await client.create(chunkBytes());
    const stream = client.start();
    const reply = RawClient.reply(stream);
    stream.write(client.block({ type: 'FPUT' }, asSender(chunk)));
    stream.write(chunk.bytes.subarray(0, 1000));
    await client.command({ type: 'PING' });
    const goaway = new Promise((resolve) => client.http2.once('goaway', resolve));
    const ended = server.end('SIGTERM');
    await goaway;
    stream.end(chunk.bytes.subarray(1000));
    expect((await reply).body.subarray(0, 100).toString('latin1')).toContain('OK');
    expect(await ended).toBe(0);
  });

  it('ends at once at a second signal', async () => {
    const { home, fingerprint } = await initialized('-a', 'ED25519');
    const server = await startServerProcess(home);
    const client = await connect(server.port, fingerprint);
    const stream = client.start();
    stream.write('a request that never ends');
    await client.command({ type: 'PING' });
    const goaway = new Promise((resolve) => client.http2.once('goaway', resolve));
    server.signal('SIGTERM');
    await goaway;
    expect(await server.end('SIGTERM')).toBe(1);
  });

  it('is refused with a sentence, without a stack trace', async () => {
    const empty = await runServer(await temporaryFolder(), ['start']);
    expect(empty.code).toBe(1);
    expect(empty.stderr).toContain('Error: server is not initialized (INI does not exist).');

    const { home, ini } = await initialized('-a', 'ED25519');
    await edit(ini, 'new_files: on', 'new_files: maybe');
    const wrong = await runServer(home, ['start']);
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toMatch(
      /^\S+file-server\.ini, line \d+: \[AUTH\] new_files must be on or off, found "maybe"\.\n$/,
    );

    await edit(ini, 'new_files: maybe', 'new_files: on');
    await writeFile(join(home, 'etc/fingerprint'), `${'A'.repeat(43)}=\n`);
    const stranger = await runServer(home, ['start']);
    expect([stranger.code, stranger.stderr]).toEqual([
      1,
      'Stored fingerprint is invalid.\n' +
        `${join(home, 'etc/fingerprint')} does not belong to ${join(home, 'etc/ca.crt')}; ` +
        'restore both from a backup, since the address of the relay depends on them.\n',
    ]);
  });
});

describe('xftp-server cert', () => {
  it('makes a new online certificate under the same identity', async () => {
    const { home, fingerprint } = await initialized();
    const before = await readFile(join(home, 'etc/server.crt'), 'utf8');
    expect((await runServer(home, ['cert', '-a', 'ED25519', '--cn', 'other.example'])).code).toBe(0);
    expect(await readFile(join(home, 'etc/server.crt'), 'utf8')).not.toBe(before);
    expect((await stat(join(home, 'etc/server.key'))).mode & 0o777).toBe(0o600);
    const server = await startServerProcess(home);
    const client = await connect(server.port, fingerprint);
    expect(client.socket.getPeerCertificate().subject.CN).toBe('other.example');
    expect(await server.end('SIGTERM')).toBe(0);
  });
});

describe('xftp-server delete', () => {
  it.each(['n', 'y', '', 'yes', 'Y '])('does nothing after %j', async (answer) => {
    const { home } = await initialized('-a', 'ED25519');
    const { code, stdout } = await runServer(home, ['delete'], `${answer}\n`);
    expect(code).toBe(1);
    expect(stdout).toContain('Continue (Y/n): ');
    expect(stdout).toContain('Server NOT deleted');
    expect(await readdir(join(home, 'etc'))).toContain('ca.key');
  });

  it('after Y deletes what relays make, and nothing else', async () => {
    const { home } = await initialized('-a', 'ED25519');
    await writeFile(join(home, 'var/letter.txt'), 'mine');
    await writeFile(join(home, 'var/file-server-store.log'), '');
    const { code, stdout } = await runServer(home, ['delete'], 'Y\n');
    expect(code).toBe(0);
    expect(stdout).toContain('Deleted configuration and log files');
    expect((await readdir(home)).sort()).toEqual(['srv', 'var']);
    expect(await readdir(join(home, 'var'))).toEqual(['letter.txt']);
  });

  it('deletes a folder that is both for configuration and for logs', async () => {
    const home = await temporaryFolder();
    const env = { XFTP_SERVER_LOG_PATH: join(home, 'etc') };
    const init = ['init', '-p', join(home, 'srv'), '-q', '1gb', '-a', 'ED25519'];
    expect(await runServer(home, init, '', env)).toMatchObject({ code: 0, stderr: '' });
    const { code, stdout } = await runServer(home, ['delete'], 'Y\n', env);
    expect(code).toBe(0);
    expect(stdout).not.toContain('stays');
    expect(await readdir(home)).toEqual(['srv']);
  });
});

it('xftp-server --version and --help say who they are', async () => {
  const home = await temporaryFolder();
  expect((await runServer(home, ['-v'])).stdout).toBe('xftp-server 0.1.0 (xftp-agent)\n');
  expect((await runServer(home, ['--help'])).stdout).toContain('XFTP_SERVER_CFG_PATH');
});
