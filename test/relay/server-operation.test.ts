import { once } from 'node:events';
import { constants } from 'node:fs';
import { open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join, relative, resolve } from 'node:path';

import { describe, expect, it, vi } from 'vitest';

import { decodeBase64Url } from '#src/protocol/index.js';

import { asSender, errorText, RawClient } from '../support/raw-client.js';
import { makePipe } from '../support/pipe.js';
import { startProgram } from '../support/program.js';
import { freePort } from '../support/relay-process.js';
import { runServer, serverVariables, startServerProcess } from '../support/server-process.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { chunkBytes, testRelay } from '../support/test-relay.js';

/** As an image of the reference is run, with a port of the system's choice. */
async function initialized(env: NodeJS.ProcessEnv = {}): Promise<{ home: string; ini: string }> {
  const home = await temporaryFolder();
  const init = await runServer(home, ['init', '-p', join(home, 'srv'), '-a', 'ED25519'], '', {
    QUOTA: '10GB',
    ADDR: '127.0.0.1',
    ...env,
  });
  expect(init).toMatchObject({ code: 0, stderr: '' });
  const ini = join(home, 'etc/file-server.ini');
  await writeFile(ini, (await readFile(ini, 'utf8')).replace('port: 443', 'port: 0'));
  return { home, ini };
}

async function append(ini: string, text: string): Promise<void> {
  await writeFile(ini, (await readFile(ini, 'utf8')) + text);
}

describe('xftp-server init', () => {
  it('takes ADDR, QUOTA and PASS from the environment, as in containers; options count more', async () => {
    const { ini } = await initialized({ ADDR: 'relay.example', PASS: 's3cret' });
    const text = await readFile(ini, 'utf8');
    for (const line of ['host: relay.example', 'storage_quota: 10gb', 'create_password: s3cret'])
      expect(text).toContain(`\n${line}\n`);
    const home = await temporaryFolder();
    const args = ['init', '-p', join(home, 'srv'), '-q', '1gb', '-n', 'other.example', '-a', 'ED25519'];
    const { stdout } = await runServer(home, args, '', { ADDR: 'relay.example', QUOTA: 'lots', PASS: '' });
    expect(stdout).toContain('@other.example\n');
    const other = await readFile(join(home, 'etc/file-server.ini'), 'utf8');
    expect(other).toContain('\nstorage_quota: 1gb\n');
    expect(other).toContain('\n# create_password: PASSWORD\n');
  });

  it.each([
    [['--ip', '192.0.2.4'], 'relay.example', '192.0.2.4'],
    [['--ip', '192.0.2.4', '-n', 'other.example'], 'relay.example', 'other.example'],
    [['-n', 'other.example'], '192.0.2.5', 'other.example'],
    [['--ip', '192.0.2.4'], '192.0.2.5', '192.0.2.4'],
  ])('with %j and ADDR=%s is for %s', async (options, ADDR, host) => {
    const home = await temporaryFolder();
    const args = ['init', '-p', join(home, 'srv'), '-q', '1gb', '-a', 'ED25519', ...options];
    const { stdout } = await runServer(home, args, '', { ADDR });
    expect(stdout).toContain(`@${host}\n`);
    expect(await readFile(join(home, 'etc/file-server.ini'), 'utf8')).toContain(`\nhost: ${host}\n`);
  });

  it('writes the whole paths of folders', async () => {
    const home = await temporaryFolder();
    const args = ['init', '-p', relative('.', join(home, 'srv')), '-q', '1gb', '--web-path', 'some/www'];
    expect((await runServer(home, args)).code).toBe(0);
    const text = await readFile(join(home, 'etc/file-server.ini'), 'utf8');
    expect(text).toContain(`\npath: ${join(home, 'srv')}\n`);
    expect(text).toContain(`\nstatic_path: ${resolve('some/www')}\n`);
  });

  it('refuses what it cannot use of them', async () => {
    const home = await temporaryFolder();
    const init = async (env: NodeJS.ProcessEnv): Promise<string> =>
      (await runServer(home, ['init', '-p', join(home, 'srv')], '', env)).stderr;
    expect(await init({})).toContain("required option '-q, --quota <QUOTA>' not specified");
    expect(await init({ QUOTA: 'lots' })).toContain(
      "value 'lots' from env 'QUOTA' is invalid. Expected a number",
    );
    expect(await init({ QUOTA: '1gb', PASS: 'a b' })).toBe(
      'A password must be 1 to 255 printable ASCII characters without space, @, : and /.\n',
    );
    expect(await readdir(home)).toEqual([]);
  });
});

it('xftp-server delete -y does not ask', async () => {
  const { home } = await initialized();
  const { code, stdout } = await runServer(home, ['delete', '-y']);
  expect([code, stdout.includes('Continue')]).toEqual([0, false]);
  expect(await readdir(home)).toEqual(['srv']);
});

it('xftp-server delete is refused while the relay runs, however little is left of its INI', async () => {
  const { home, ini } = await initialized();
  const server = await startServerProcess(home);
  const whole = await readFile(ini, 'utf8');
  for (const [text, used] of [
    [whole, `folder of chunks ${join(home, 'srv')}`],
    [whole.replace(/^storage_quota:.*$/m, 'storage_quota: lots'), `folder of chunks ${join(home, 'srv')}`],
    ['no INI at all', `store log ${join(home, 'var/file-server-store.log')}`],
  ] as const) {
    await writeFile(ini, text);
    const { code, stdout, stderr } = await runServer(home, ['delete'], 'Y\n');
    expect([code === 0, stdout]).toEqual([false, '']);
    expect(stderr).toMatch(/^The .* is in use by another relay \(process \d+\): stop that one first\.\n$/);
    expect(stderr).toContain(used);
  }
  expect(await readdir(join(home, 'etc'))).toContain('ca.key');
  expect(await server.end('SIGTERM')).toBe(0);
  await rm(join(home, 'srv'), { recursive: true });
  expect((await runServer(home, ['delete'], 'Y\n')).code).toBe(0);
  expect(await readdir(home)).toEqual([]);
});

it.each(['SIGHUP', 'SIGTERM'] as const)(
  'xftp-server start makes a store log that was moved away or removed again at %s',
  async (signal) => {
    const { home } = await initialized();
    const log = join(home, 'var/file-server-store.log');
    await writeFile(log, `FNEW bfGr8pfjDt-Q5hkL7gTX_Q== no line of a log\n`);
    const server = await startServerProcess(home);
    const text = await readFile(log, 'utf8');
    expect(text).not.toBe('');
    await rm(log);
    server.signal(signal);
    if (signal === 'SIGHUP') await expect.poll(async () => readFile(log, 'utf8').catch(() => '')).toBe(text);
    expect(await server.end('SIGTERM')).toBe(0);
    expect(await readFile(log, 'utf8')).toBe(text);
  },
);

it('xftp-server start takes a SIGHUP that comes before it has read its INI', async () => {
  const { home, ini } = await initialized();
  const text = await readFile(ini, 'utf8');
  await rm(ini);
  await makePipe(ini);
  const program = startProgram('xftp-server', ['start'], { env: serverVariables(home) });
  // Possible as soon as the program reads it.
  const writer = await vi.waitFor(() => open(ini, constants.O_WRONLY | constants.O_NONBLOCK), 30_000);
  process.kill(program.pid, 'SIGHUP');
  await rm(ini);
  await writeFile(ini, text);
  await writer.writeFile(text);
  await writer.close();
  await program.printed(/^Certificates and web pages read again/m);
  expect((await program.end('SIGTERM')).exitCode).toBe(0);
});

it('xftp-server delete that waits for its answer is not taken for a relay', async () => {
  const { home } = await initialized();
  const program = startProgram('xftp-server', ['delete'], { env: serverVariables(home), interactive: true });
  await program.printed(/Continue/);
  const status = await runServer(home, ['status', '--json']);
  expect([status.code, JSON.parse(status.stdout)]).toMatchObject([
    3,
    { running: false, use: 'delete', pid: program.pid },
  ]);
  expect((await runServer(home, ['status'])).stdout).toContain(
    `Relay:   not running (xftp-server delete has its files: process ${String(program.pid)})\n`,
  );
  expect((await runServer(home, ['start'])).stderr).toBe(
    `The folder of chunks ${join(home, 'srv')} is in use by xftp-server delete (process ${String(program.pid)}): ` +
      'answer its question, or stop it, first.\n',
  );
  program.write('n\n');
  expect((await program.ended).exitCode).toBe(1);
  expect((await runServer(home, ['status'])).stdout).toContain('Relay:   not running\n');
});

it.each(['import', 'export'])(
  'xftp-server database %s says that there is no database here',
  async (direction) => {
    const { code, stderr } = await runServer(await temporaryFolder(), ['database', direction]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^This relay has no PostgreSQL store[^\n]*\.\n$/);
  },
);

describe('xftp-server start and status', () => {
  it('tells names that mean nothing once, takes the environment, and shows itself to status by its metrics port', async () => {
    const { home, ini } = await initialized();
    await append(ini, '[AUTH]\nnew_fiels: off\n');
    const metricsPort = await freePort();
    const env = {
      XFTP_TRANSPORT_METRICS_PORT: String(metricsPort),
      XFTP_AUTH_NEW_FILES: 'off',
      XFTP_FILES_STORAGE_QUOTA: '131072',
    };
    const server = await startServerProcess(home, env);
    const { stdout, stderr } = server.output();
    expect(stderr).toBe(
      `${ini}, line ${String((await readFile(ini, 'utf8')).split('\n').length - 1)}: ` +
        'the key "new_fiels" in [AUTH] is none of this relay\'s: it has no effect.\n',
    );
    expect(stdout).toContain('Uploading new files NOT allowed.\n');
    expect(stdout).toContain(`Metrics: http://127.0.0.1:${String(metricsPort)}/metrics\n`);
    const status = await runServer(home, ['status'], '', env);
    expect(status).toMatchObject({ code: 0, stderr: '' });
    expect(status.stdout).toMatch(
      /^Relay: +running \(process \d+\)\nUp: +\S.*\nChunks: +0, 0 bytes of 128\.0 KiB \(0 %\)\nClients: +0\nNew files: +NOT allowed\nProblems: +0\nCounted: +in .*: 0 created, /,
    );
    expect(await server.end('SIGTERM')).toBe(0);
  });

  it('shows itself by the control port with the password of the INI, or by its files', async () => {
    const { home, ini } = await initialized();
    const controlPort = await freePort();
    const server = await startServerProcess(home, {
      XFTP_TRANSPORT_CONTROL_PORT: String(controlPort),
      XFTP_AUTH_CONTROL_PORT_USER_PASSWORD: 'user-pass',
    });
    const fingerprint = decodeBase64Url((await readFile(join(home, 'etc/fingerprint'), 'utf8')).trim());
    const client = await RawClient.open({ port: server.port, fingerprint });
    expect(await client.put(await client.create(chunkBytes()))).toBe('OK');
    const ported = `[TRANSPORT]\ncontrol_port: ${String(controlPort)}\n[AUTH]\ncontrol_port_user_password: user-pass\n`;
    const secretive = await runServer(home, ['status']);
    expect(secretive.stdout).toContain('1 on the disk, 64.0 KiB of 10.0 GiB (0 %)');
    expect(secretive.stderr).toContain('The relay tells no more: set metrics_port in [TRANSPORT], ');
    await append(ini, ported);
    const { code, stdout } = await runServer(home, ['status', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      event: 'status',
      running: true,
      metrics: { simplex_xftp_files_uploaded: 1, xftp_relay_used_bytes: 65536, xftp_relay_clients: 1 },
    });
    await client.close();
    expect(await server.end('SIGTERM')).toBe(0);
    const stopped = await runServer(home, ['status']);
    expect([stopped.code, stopped.stderr]).toEqual([3, '']);
    expect(stopped.stdout).toBe('Relay:   not running\nChunks:  1 on the disk, 64.0 KiB of 10.0 GiB (0 %)\n');
  });

  it('tells a relay that does not answer from one that does not run', async () => {
    const { home } = await initialized();
    const server = await startServerProcess(home);
    server.signal('SIGSTOP');
    const status = await runServer(home, ['status']);
    expect(status.stdout).toMatch(/^Relay: +running \(does not answer\)\nChunks: +0 on the disk/);
    expect(status.stderr).toMatch(/^Warning: The relay does not answer: [^\n]*\n$/);
    expect(status.code).toBe(1);
    server.signal('SIGCONT');
    expect(await runServer(home, ['status'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^Relay: +running \(process \d+\)\n/) as string,
    });
    expect(await server.end('SIGTERM')).toBe(0);
  });
});

it('a relay that takes no new files lets uploads that were begun end, and downloads and deletions go on', async () => {
  const relay = await testRelay();
  const before = await relay.client();
  const [stored, begun] = [await before.create(chunkBytes()), await before.create(chunkBytes())];
  expect(await before.put(stored)).toBe('OK');
  const draining = await relay.restart({ newFiles: false });
  const client = await draining.client();
  await expect(client.create(chunkBytes())).rejects.toThrow('AUTH');
  expect(await client.put(begun)).toBe('OK');
  expect(await client.get(stored)).toBeInstanceOf(Buffer);
  for (const chunk of [stored, begun])
    expect(errorText((await client.command({ type: 'FDEL' }, asSender(chunk))).response)).toBe('OK');
  expect(draining.usedBytes()).toBe(0);
});

it.each([true, false])(
  'with log_tls_errors = %s a handshake that fails is told, without an address, or not',
  async (logTlsErrors) => {
    const relay = await testRelay({ logTlsErrors });
    for (let attempt = 0; attempt < 2; attempt++) {
      const socket = connect(relay.port, '127.0.0.1');
      socket.on('error', () => undefined);
      // A record of a handshake, or the relay would not take it for TLS.
      socket.end('\x16This is no ClientHello.\n');
      await once(socket.resume(), 'close');
    }
    await (await relay.client()).close();
    expect(relay.problems).toEqual(
      logTlsErrors ? [expect.stringMatching(/^A TLS handshake failed: [\w ]+\.$/)] : [],
    );
  },
);

it.each(['everysec', 'never'] as const)('with fsync = %s everything is there after a stop', async (fsync) => {
  const relay = await testRelay({ fsync });
  const client = await relay.client();
  const chunks = [await client.create(chunkBytes()), await client.create(chunkBytes())];
  for (const chunk of chunks) expect(await client.put(chunk)).toBe('OK');
  await client.command({ type: 'FDEL' }, asSender(chunks[1]!));
  const again = await relay.restart();
  expect(again.problems).toEqual([]);
  const other = await again.client();
  expect(await other.get(chunks[0]!)).toEqual(chunks[0]!.bytes);
  expect(await other.get(chunks[1]!)).toBe('AUTH');
});
