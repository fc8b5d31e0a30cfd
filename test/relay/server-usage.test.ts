import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { runServer } from '../support/server-process.js';
import { temporaryFolder } from '../support/temporary-folder.js';

describe('the help of xftp-server', () => {
  it.each([[[]], [['--help']], [['-h']], [['init', '--help']], [['cert', '-h']]])(
    'is shown for %j, with exit code 0',
    async (args) => {
      const { code, stdout, stderr } = await runServer(await temporaryFolder(), args);
      expect([code, stderr]).toEqual([0, '']);
      expect(stdout).toMatch(/^Usage: xftp-server/);
    },
  );

  it('has examples, the folders in use, and says what init cannot do without', async () => {
    const home = await temporaryFolder();
    const { stdout } = await runServer(home, []);
    expect(stdout).toContain('xftp-server init -p /srv/xftp -q 100gb -n relay.example.com');
    expect(stdout).toContain(`(now ${join(home, 'etc')})`);
    const init = (await runServer(home, ['init', '--help'])).stdout;
    expect(init).toContain('Usage: xftp-server init -p <PATH> -q <QUOTA> [options]');
    expect(init.match(/^ {2}-.*\(required\)/gm)).toHaveLength(2);
  });

  it('is what the manual shows: every option of each command, and none besides', async () => {
    const manual = await readFile('docs/relay.md', 'utf8');
    const home = await temporaryFolder();
    for (const command of ['init', 'start', 'cert', 'delete', 'check', 'status']) {
      const { stdout } = await runServer(home, [command, '--help']);
      const table =
        new RegExp(`^\\| option of \`${command}\`.*\\n((?:\\|.*\\n)*)`, 'm').exec(manual)?.[1] ?? '';
      const documented = [...table.matchAll(/^\| `([^`]+)`/gm)].map(([, option]) => option);
      const offered = [...stdout.matchAll(/^ {2}(-\S.*?)(?: {2}|$)/gm)]
        .map(([, option = '']) => option.replace(/[<>]/g, '').replace('|', '/'))
        .filter((option) => option !== '-h, --help');
      expect([command, documented]).toEqual([command, offered]);
    }
  });
});

describe('wrong usage of xftp-server', () => {
  it.each([
    [['nonsense'], "error: unknown command 'nonsense'"],
    [['init', '-q', '1gb'], "error: required option '-p, --path <PATH>' not specified"],
    [['start', '--nonsense'], "error: unknown option '--nonsense'"],
    [['start', 'now'], "error: too many arguments for 'start'. Expected 0 arguments but got 1."],
    [['init', '-p', 'x', '-q', 'lots'], 'Expected a number with kb, mb, gb or tb, for example 100gb.'],
    [['init', '-p', 'x', '-q', ''], 'Expected a number with kb, mb, gb or tb, for example 100gb.'],
    [['init', '-p', 'x', '-q', '1gb', '-a', 'RSA'], 'Allowed choices are ED448, ED25519.'],
    [['init', '-p', 'x', '-q', '1gb', '-a', ''], 'Allowed choices are ED448, ED25519.'],
    [['start', '--confirm-migrations', ''], 'Allowed choices are up, down.'],
  ])('is one sentence and where to look: %j', async (args, sentence) => {
    const { code, stdout, stderr } = await runServer(await temporaryFolder(), args);
    expect([code, stdout]).toEqual([1, '']);
    const [first, ...rest] = stderr.trimEnd().split('\n');
    expect(first).toContain(sentence);
    expect(rest).toEqual(['(xftp-server --help tells more)']);
  });
});

describe('values that init and cert cannot use', () => {
  it.each([
    [['--path', ''], '"" cannot be the folder of the chunks: a path must not be empty, '],
    [['--path', 'x '], '"x " cannot be the folder of the chunks: '],
    [['--path', 'x\nport: 1'], '"x\\nport: 1" cannot be the folder of the chunks: '],
    [['--web-path', ''], '"" cannot be the folder of the web pages: '],
    [['--fqdn', ''], '"" is not a host name or an address.'],
    [['--fqdn', 'a.example,,b.example'], '"a.example,,b.example" is not a host name or an address.'],
    [['--fqdn', 'a.example\n'], '"a.example\\n" is not a host name or an address.'],
    [['--ip', ''], '"" is not a host name or an address.'],
    [['--fqdn', 'a.example', '--ip', ''], '"" is not a host name or an address.'],
  ])('are refused with a sentence, before anything is made: %j', async (options, sentence) => {
    const home = await temporaryFolder();
    const args = ['init', '-p', join(home, 'srv'), '-q', '1gb', ...options];
    const { code, stdout, stderr } = await runServer(home, args);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain(sentence);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(await readdir(home)).toEqual([]);
  });

  it('leave the certificate as it is', async () => {
    const home = await temporaryFolder();
    await runServer(home, ['init', '-p', join(home, 'srv'), '-q', '1gb', '-a', 'ED25519']);
    const before = await readFile(join(home, 'etc/server.crt'), 'utf8');
    const { code, stderr } = await runServer(home, ['cert', '--cn', '']);
    expect([code, stderr]).toEqual([1, '"" is not a host name or an address.\n']);
    expect(await readFile(join(home, 'etc/server.crt'), 'utf8')).toBe(before);
  });
});
