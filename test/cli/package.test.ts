import { mkdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { PACKAGE_FOLDER, type ProgramResult, runProgram, startCommand } from '../support/program.js';
import { freePort } from '../support/relay-process.js';
import { startProgram } from '../support/program.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { digestOf, makeFile } from '../support/transfers.js';

async function succeed(
  words: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<string> {
  const result = await startCommand(words, { cwd, env }).ended;
  expect(result).toMatchObject({ exitCode: 0 });
  return result.stdout;
}

describe('The package', () => {
  it('has all files that its programs need', async () => {
    const folder = await temporaryFolder();
    // The build is there already; building it again would pull it away from under other tests.
    await succeed(['npm', 'pack', '--ignore-scripts', '--pack-destination', folder], PACKAGE_FOLDER, {
      HOME: folder,
    });
    const { name, version } = JSON.parse(await readFile(join(PACKAGE_FOLDER, 'package.json'), 'utf8')) as {
      name: string;
      version: string;
    };
    await succeed(['tar', '-xzf', `${name}-${version}.tgz`], folder);
    const packageFolder = join(folder, 'package');
    await symlink(join(PACKAGE_FOLDER, 'node_modules'), join(packageFolder, 'node_modules'));

    const run = (program: 'xftp' | 'xftp-agent' | 'xftp-server', ...args: string[]): Promise<ProgramResult> =>
      runProgram(program, args, { packageFolder, cwd: folder, env });
    const env = { XFTP_SERVER_CFG_PATH: join(folder, 'etc'), XFTP_SERVER_LOG_PATH: join(folder, 'var') };
    expect((await run('xftp', '--version')).stdout).toBe(`xftp ${version} (xftp-agent)\n`);
    expect((await run('xftp-agent', '--version')).stdout).toBe(`xftp-agent ${version}\n`);
    expect((await run('xftp-server', '--version')).stdout).toBe(`xftp-server ${version} (xftp-agent)\n`);

    const initialized = await run('xftp-server', 'init', '-p', join(folder, 'files'), '-q', '1gb');
    const fingerprint = /^Fingerprint: (\S+)$/m.exec(initialized.stdout)?.[1] ?? '';
    const port = String(await freePort());
    await succeed(['sed', '-i', `s/^port: .*/port: ${port}/`, 'etc/file-server.ini'], folder);
    const relay = startProgram('xftp-server', ['start'], { packageFolder, env });
    await relay.printed(/Listening on port/);

    const source = await makeFile(folder, 100_000);
    const sending = await run('xftp', 'send', source, '-s', `xftp://${fingerprint}@127.0.0.1:${port}`);
    expect(sending).toMatchObject({ exitCode: 0, stderr: '' });
    await mkdir(join(folder, 'into'));
    const receiving = await run('xftp', 'recv', 'sample.bin.xftp/rcv1.xftp', 'into', '-y');
    expect(receiving).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await digestOf(join(folder, 'into/sample.bin'))).toBe(await digestOf(source));
    expect((await relay.end('SIGTERM')).exitCode).toBe(0);
  });
});
