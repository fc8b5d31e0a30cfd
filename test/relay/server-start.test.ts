import { once } from 'node:events';
import { appendFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';

import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';

import { decodeBase64Url, encodeBase64Url } from '#src/protocol/index.js';
import { generateKeyPair, randomBytes, sha256 } from '#src/crypto/index.js';

import { startProgram } from '../support/program.js';
import { RawClient } from '../support/raw-client.js';
import { runServer, serverVariables, startServerProcess } from '../support/server-process.js';
import { programOnSmallDisk } from '../support/small-disk.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { chunkBytes } from '../support/test-relay.js';

let home = '';
let ini = '';
let fingerprint: Uint8Array;

beforeEach(async () => {
  home = await temporaryFolder();
  const init = ['init', '-p', join(home, 'srv'), '-q', '1gb', '-a', 'ED25519'];
  expect(await runServer(home, init)).toMatchObject({ code: 0, stderr: '' });
  ini = join(home, 'etc/file-server.ini');
  await setPort(0);
  fingerprint = decodeBase64Url((await readFile(join(home, 'etc/fingerprint'), 'utf8')).trim());
});

async function setPort(port: number): Promise<void> {
  const text = await readFile(ini, 'utf8');
  await writeFile(ini, text.replace(/^port: \d+$/m, `port: ${String(port)}`));
}

/** So many lines of registered chunks that reading them takes a while. */
function manyLines(): string {
  const key = encodeBase64Url(generateKeyPair('ed25519').publicKey);
  const digest = encodeBase64Url(sha256(randomBytes(1)));
  const hour = String(Math.floor(Date.now() / 3_600_000) * 3600);
  const line = (): string =>
    `FNEW ${encodeBase64Url(randomBytes(16))} ${key} 65536 ${digest} ${hour} active\n`;
  return Array.from({ length: 60_000 }, line).join('');
}

/** Runs a command that must fail with these words and nothing else. */
async function expectRefused(args: readonly string[], words: string): Promise<void> {
  const { code, stderr } = await runServer(home, args);
  expect([code, stderr]).toEqual([1, `${words}\n`]);
}

describe('xftp-server start', () => {
  it.runIf(process.platform === 'linux')(
    'ends with 0 when a service manager ends it together with workers that do not serve yet',
    async () => {
      const program = startProgram('xftp-server', ['start'], {
        env: { ...serverVariables(home), XFTP_TRANSPORT_CONNECTION_WORKERS: '2' },
      });
      const children = `/proc/${String(program.pid)}/task/${String(program.pid)}/children`;
      const workers = async (): Promise<string[]> =>
        (await readFile(children, 'utf8')).split(' ').filter(Boolean);
      await expect.poll(workers, { interval: 1, timeout: 10_000 }).toHaveLength(2);
      process.kill(program.pid, 'SIGTERM');
      for (const pid of await workers()) process.kill(Number(pid), 'SIGTERM');
      const { exitCode, stdout, stderr } = await program.ended;
      expect([exitCode, stderr]).toEqual([0, '']);
      expect(stdout).toMatch(/\nServer stopped\n$/);
    },
  );

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'that reads a large log ends with 0 on one %s, and the next start finds everything',
    async (signal) => {
      const before = await startServerProcess(home);
      const client = await RawClient.open({ port: before.port, fingerprint });
      const chunk = await client.create(chunkBytes());
      expect(await client.put(chunk)).toBe('OK');
      expect(await before.end('SIGTERM')).toBe(0);
      const log = join(home, 'var/file-server-store.log');
      await appendFile(log, manyLines());
      const whole = await readFile(log, 'utf8');

      const program = startProgram('xftp-server', ['start'], {
        env: serverVariables(home),
      });
      await program.printed(/^Uploading new files/m);
      const { exitCode, stdout, stderr } = await program.end(signal);
      expect([exitCode, stderr]).toEqual([0, '']);
      expect(stdout).not.toContain('Listening');
      expect(stdout).toMatch(/\nServer stopped\n$/);
      const names = (await readdir(join(home, 'var'))).filter((name) => !/\.log\.\d{4}/.test(name));
      const kept = names.includes('file-server-store.log.start') ? `${log}.start` : log;
      expect(await readFile(kept, 'utf8')).toBe(whole);

      const after = await startServerProcess(home);
      const again = await RawClient.open({ port: after.port, fingerprint });
      onTestFinished(() => again.close());
      expect(await again.get(chunk)).toEqual(chunk.bytes);
      expect((await readFile(log, 'utf8')).match(/^FNEW /gm)).toHaveLength(60_001);
    },
  );

  it('whose log cannot be written at the end says so, without a stack trace', async () => {
    const env = serverVariables(home);
    const relay = await programOnSmallDisk('xftp-server', { bytes: 65_536 }, (disk) => ({
      args: ['start'],
      options: { env: { ...env, XFTP_SERVER_LOG_PATH: disk } },
    }));
    const [, port] = await relay.printed(/^Listening on port (\d+)/m);
    const client = await RawClient.open({ port: Number(port), fingerprint });
    onTestFinished(() => client.close());
    const registerUntilFull = async (): Promise<never> => {
      for (;;) await client.create(chunkBytes(), { recipients: 100 });
    };
    await expect(registerUntilFull()).rejects.toThrow('INTERNAL');
    relay.endInput();
    const { stdout, stderr } = await relay.end('SIGTERM');
    expect(stdout).not.toContain('Server stopped');
    expect(stderr).toMatch(
      /^The last changes, which no client was told of, are not in the store log: .*\.$/m,
    );
    expect(stderr).not.toContain('    at ');
  });
});

describe('what keeps a server from starting is one sentence that says what to do', () => {
  it('about a port in use', async () => {
    const busy = createServer().listen(0);
    onTestFinished(() => void busy.close());
    await once(busy, 'listening');
    const { port } = busy.address() as AddressInfo;
    await setPort(port);
    await expectRefused(
      ['start'],
      `The relay cannot listen on port ${String(port)}: another program listens there already; ` +
        'stop that one, or set another port in [TRANSPORT] of file-server.ini.',
    );
  });

  it('about another server on the same folders, with its process', async () => {
    const program = startProgram('xftp-server', ['start'], {
      env: serverVariables(home),
    });
    await program.printed(/^Listening/m);
    await expectRefused(
      ['start'],
      `The folder of chunks ${join(home, 'srv')} is in use by another relay (process ${String(program.pid)}): ` +
        'stop that one first.',
    );
    const text = await readFile(ini, 'utf8');
    await writeFile(ini, text.replace(join(home, 'srv'), join(home, 'other')));
    await expectRefused(
      ['start'],
      `The store log ${join(home, 'var/file-server-store.log')} is in use by another relay ` +
        `(process ${String(program.pid)}): stop that one first.`,
    );
    expect((await program.end('SIGTERM')).exitCode).toBe(0);
  });

  it.each(['server.key', 'server.crt'])('about a missing %s, and cert makes a new pair', async (name) => {
    const path = join(home, 'etc', name);
    await rm(path);
    await expectRefused(
      ['start'],
      `${path} cannot be read: it does not exist; run \`xftp-server cert\` to make a new certificate and key.`,
    );
    expect(await runServer(home, ['cert'])).toMatchObject({ code: 0, stderr: '' });
    expect(await (await startServerProcess(home)).end('SIGTERM')).toBe(0);
  });

  it.each([
    ['server.crt', 'nonsense', 'CRT does not hold a certificate in PEM form; run `xftp-server cert`'],
    [
      'server.crt',
      pem('CERTIFICATE'),
      'CRT cannot be used: it or its key is damaged; run `xftp-server cert`',
    ],
    [
      'server.key',
      pem('PRIVATE KEY'),
      'CRT cannot be used: it or its key is damaged; run `xftp-server cert`',
    ],
  ])('about a damaged %s, and cert makes a new pair', async (name, content, words) => {
    await writeFile(join(home, 'etc', name), content);
    await expectRefused(
      ['start'],
      `${words.replace('CRT', join(home, 'etc/server.crt'))} to make a new certificate and key.`,
    );
    expect(await runServer(home, ['cert'])).toMatchObject({ code: 0, stderr: '' });
    expect(await (await startServerProcess(home)).end('SIGTERM')).toBe(0);
  });

  it('about a certificate of another identity', async () => {
    const other = await temporaryFolder();
    await runServer(other, ['init', '-p', join(other, 'srv'), '-q', '1gb', '-a', 'ED25519']);
    for (const name of ['server.crt', 'server.key'])
      await writeFile(join(home, 'etc', name), await readFile(join(other, 'etc', name)));
    await expectRefused(
      ['start'],
      `${join(home, 'etc/server.crt')} cannot be used: ca.crt has not issued it; ` +
        'run `xftp-server cert` to make a new certificate and key.',
    );
    await writeFile(join(home, 'etc/ca.key'), await readFile(join(other, 'etc/ca.key')));
    await expectRefused(
      ['cert'],
      `${join(home, 'etc/ca.key')} cannot be used: it is damaged or not the key of ${join(home, 'etc/ca.crt')}; ` +
        'restore both from a backup.',
    );
    await rm(join(home, 'etc/ca.key'));
    await expectRefused(
      ['cert'],
      `${join(home, 'etc/ca.key')} cannot be read: it does not exist; ` +
        'bring the CA key back to this machine for as long as this command runs.',
    );
  });

  it.each(['ca.crt', 'fingerprint'])('about a missing %s', async (name) => {
    await rm(join(home, 'etc', name));
    await expectRefused(
      ['start'],
      `${join(home, 'etc', name)} cannot be read: it does not exist; ` +
        'restore both from a backup, since the address of the relay depends on them.',
    );
  });

  it('about a folder that is missing, or a file in its place', async () => {
    await rm(join(home, 'var'), { recursive: true });
    await expectRefused(['start'], `The folder ${join(home, 'var')} cannot be used: it does not exist.`);
    await rm(join(home, 'srv'), { recursive: true });
    await writeFile(join(home, 'srv'), '');
    const words = 'a file of that name is there already, move it away or choose another name.';
    await expectRefused(['start'], `The folder of chunks ${join(home, 'srv')} cannot be used: ${words}`);
    const fresh = await temporaryFolder();
    await writeFile(join(fresh, 'srv'), '');
    const init = await runServer(fresh, ['init', '-p', join(fresh, 'srv'), '-q', '1gb']);
    expect([init.code, init.stderr]).toEqual([
      1,
      `The folder ${join(fresh, 'srv')} cannot be made: ${words}\n`,
    ]);
  });
});

/** PEM around bytes that are none of what it says. */
function pem(label: string): string {
  return `-----BEGIN ${label}-----\nAAAA\n-----END ${label}-----\n`;
}
