import { mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { exitCodeOf } from '#src/cli/exit-codes.js';
import { type FailureCode, parseDescription, webLinkOf } from '#src/protocol/index.js';

import { type ProgramResult, PACKAGE_FOLDER } from '../support/program.js';
import { reportResources } from '../support/resource-report.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { expectEmpty, expectFailure, makeFile, xftp } from '../support/transfers.js';

const NOWHERE = `xftp://${'A'.repeat(43)}=@127.0.0.1:1`;
const VECTORS = join(PACKAGE_FOLDER, 'test/vectors/files/note.txt.xftp');

/** Proves that wrong usage gets one sentence and where to look, and no stack trace. */
function expectUsage(result: ProgramResult, sentence: RegExp): void {
  expect(result).toMatchObject({ exitCode: 1, stdout: '' });
  const [first, ...rest] = result.stderr.trimEnd().split('\n');
  expect(first).toMatch(sentence);
  expect(rest).toEqual(['(xftp --help tells more)']);
}

describe('Wrong usage', () => {
  it('of commands and options exits with 1 and one sentence', async () => {
    const folder = await temporaryFolder();
    const source = await makeFile(folder, 10);
    const send = ['send', source, folder];
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [['frobnicate'], /^error: unknown command 'frobnicate'/],
      [['send'], /^error: missing required argument 'FILE'/],
      [['send', source, folder, 'more'], /^error: too many arguments for 'send'/],
      [[...send, '--frobnicate'], /^error: unknown option '--frobnicate'/],
      [[...send, '-n', '0'], /argument '0' is invalid\. Give a whole number from 1 to 10000\.$/],
      [[...send, '-n', '-1'], /argument '-1' is invalid\. Give a whole number from 1 to 10000\.$/],
      [[...send, '-n', '1.5'], /argument '1\.5' is invalid\. Give a whole number from 1 to 10000\.$/],
      [[...send, '--replicas', '9'], /argument '9' is invalid\. Give a whole number from 1 to 8\.$/],
      [[...send, '-r', '0'], /argument '0' is invalid\. Give a whole number from 1 to 1000\.$/],
      [[...send, '--max-size', 'huge'], /argument 'huge' is invalid\. A size is written in digits .*\.$/],
    ];
    await Promise.all(
      cases.map(async ([args, sentence]) => {
        expectUsage(await xftp(args), sentence);
      }),
    );
  });

  it('of server addresses exits with 3, says what is wrong, and repeats no password', async () => {
    const cases = [
      ['nonsense', /^A server address is wrong: it does not begin with xftp:\/\/\.$/],
      ['', /relay.*\.$/],
      ['xftp://short:secret-word@relay.example', /its fingerprint .*\.$/],
      [`${NOWHERE};xftp://${'A'.repeat(43)}=:secret word@relay.example`, /password.*\.$/],
    ] as const;
    const folder = await temporaryFolder();
    const source = await makeFile(folder, 10);
    await Promise.all(
      cases.map(async ([servers, sentence]) => {
        const result = await xftp(['send', source, folder, '-s', servers]);
        expectFailure(result, 'INVALID_ADDRESS', sentence);
        expect(result.stderr).not.toContain('secret');
      }),
    );
    expect(await readdir(folder)).toEqual(['sample.bin']);
  });

  it('of sources exits with a code for the reason and leaves no folder', async () => {
    const folder = await temporaryFolder();
    const target = join(folder, 'descriptions');
    await mkdir(target);
    const large = await makeFile(folder, 2000);
    const cases: readonly (readonly [string, FailureCode, RegExp])[] = [
      [join(folder, 'missing'), 'SOURCE_MISSING', /missing does not exist\.$/],
      [join(large, 'inside'), 'SOURCE_MISSING', /A part of the path .* is not a folder\.$/],
      [target, 'INVALID_ARGUMENT', / is a folder: pack it into one file first \(zip, tar\) and send that\.$/],
      [`${target}/`, 'INVALID_ARGUMENT', / is a folder: /],
      ['/dev/null', 'INVALID_ARGUMENT', / is not a regular file and cannot be sent\.$/],
      [large, 'FILE_TOO_LARGE', / has .*more than the limit of .*\.$/],
    ];
    await Promise.all(
      cases.map(async ([source, code, sentence]) => {
        const result = await xftp(['send', source, target, '-s', NOWHERE, '--max-size', '1kb']);
        expectFailure(result, code, sentence);
      }),
    );
    await expectEmpty(target);
  });

  it('of a source that is a little too large tells its bytes, and nothing of what apps would take', async () => {
    const folder = await temporaryFolder();
    const source = join(folder, 'large.bin');
    await writeFile(source, '');
    await truncate(source, 5 * 1024 ** 3 + 1);
    const result = await xftp(['send', source, folder, '-s', NOWHERE]);
    expectFailure(
      result,
      'FILE_TOO_LARGE',
      / has 5368709121 bytes, more than the limit of 5368709120 bytes: /,
    );
    expect(result.stderr).not.toContain('Warning');
  });

  it('of a name that is not UTF-8 says what to do about it', async () => {
    const folder = await temporaryFolder();
    // Arguments of Node are text: a shell has to make this one.
    const script = 'name=$(printf "caf\\351.txt"); echo x > "$name" && exec "$@" "$name" -s "$0"';
    const result = await xftp(['send'], { cwd: folder, under: ['sh', '-c', script, NOWHERE] });
    expectFailure(
      result,
      'SOURCE_MISSING',
      /caf\ufffd\.txt cannot be found, .* not valid UTF-8: rename it, or/,
    );
  });

  it('of a current folder that is gone says so', async () => {
    const folder = await temporaryFolder();
    const script = 'cd "$0" && rmdir "$0" && exec "$@"';
    const result = await xftp(['recv', join(VECTORS, 'rcv1.xftp'), '.'], {
      under: ['sh', '-c', script, folder],
    });
    expectFailure(result, 'SOURCE_MISSING', /^The current folder is gone: change to another one first\.$/);
  });

  it('of files to create exits with a code for the reason', async () => {
    const folder = await temporaryFolder();
    const cases: readonly (readonly [string, FailureCode, RegExp])[] = [
      ['', 'INVALID_ARGUMENT', /^The file to create has no name\.$/],
      ['nodir/x', 'SOURCE_MISSING', /^The folder nodir does not exist: make it first\.$/],
      [folder, 'FILE_EXISTS', / exists already: /],
    ];
    await Promise.all(
      cases.map(async ([path, code, sentence]) => {
        expectFailure(await xftp(['rand', path, '5'], { cwd: folder }), code, sentence);
      }),
    );
    await expectEmpty(folder);
  });

  it('of descriptions exits with 4 and says what is wrong with them', async () => {
    const folder = await temporaryFolder();
    const [recipient, sender] = [join(VECTORS, 'rcv1.xftp'), join(VECTORS, 'snd.xftp.private')];
    const text = await readFile(recipient, 'utf8');
    const write = async (name: string, content: string): Promise<string> => {
      const path = join(folder, name);
      await writeFile(path, content);
      return path;
    };
    const huge = await write('huge.xftp', '');
    await truncate(huge, 17 * 1024 * 1024);
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [['recv', sender], /^This is a sender's file description, which deletes the file: use a recipient's/],
      [['del', recipient], /^This is a recipient's file description: only the sender's/],
      [['recv', await write('half.xftp', text.slice(0, text.length / 2))], /half\.xftp cannot be used\. /],
      [['recv', await write('line.xftp', text.replace(/^size:.*\n/m, ''))], /line\.xftp cannot be used\. /],
      [['recv', await write('empty.xftp', '')], /empty\.xftp cannot be used\. /],
      [
        ['recv', await write('garbage.xftp', '\u0000\u0001{[: garbage')],
        /garbage\.xftp is not a file description\./,
      ],
      [
        ['info', await write('bomb.xftp', `a: &a [1]\nb: ${'[*a,'.repeat(1000)}`)],
        /bomb\.xftp cannot be used\. /,
      ],
      [['recv', huge], /huge\.xftp is too large to be a file description\.$/],
      [
        ['info', await write('long.xftp', '#'.repeat(5 * 1024 * 1024))],
        /long\.xftp (?:cannot be used|is too large)/,
      ],
    ];
    await Promise.all(
      cases.map(async ([args, sentence]) => {
        const result = await xftp([...args, ...(args[0] === 'recv' ? [folder] : [])]);
        expectFailure(result, 'INVALID_DESCRIPTION', sentence);
      }),
    );
  });

  it('of what is not a description at all exits with a code for the reason', async () => {
    const folder = await temporaryFolder();
    const cases: readonly (readonly [string, FailureCode, RegExp])[] = [
      [join(folder, 'missing.xftp'), 'SOURCE_MISSING', /missing\.xftp does not exist\.$/],
      [folder, 'INVALID_ARGUMENT', / is a folder: name a file\.$/],
      ['https://example.com/', 'INVALID_LINK', /^This link cannot be read: it has no # /],
      ['https://example.com/#AAAA', 'INVALID_LINK', /^This link cannot be read: .*\.$/],
      [
        'simplex:/file#/?desc=',
        'INVALID_LINK',
        /^This link cannot be read: the file description in it is empty\.$/,
      ],
      [
        'simplex:/file#/?nothing=here',
        'INVALID_LINK',
        /^This link cannot be read: it has no desc parameter\.$/,
      ],
    ];
    await Promise.all(
      cases.map(async ([from, code, sentence]) => {
        expectFailure(await xftp(['recv', from, folder]), code, sentence);
      }),
    );
    await expectEmpty(folder);
  });

  it('of a device as description ends at once, whatever the device gives', async () => {
    const folder = await temporaryFolder();
    const measure = await reportResources(folder);
    const result = await xftp(['info', '/dev/zero'], measure);
    expect([exitCodeOf('INVALID_DESCRIPTION'), exitCodeOf('INVALID_ARGUMENT')]).toContain(result.exitCode);
    expect((await measure.report()).peakMemory).toBeLessThan(200 * 1024 * 1024);
  });
});

describe('xftp info', () => {
  it('takes a link with blanks around it', async () => {
    const link = webLinkOf(parseDescription(await readFile(join(VECTORS, 'rcv1.xftp'), 'utf8')));
    expect(await xftp(['info', `  ${link}\n`])).toMatchObject({ exitCode: 0, stderr: '' });
  });

  it('takes a description as editors save it: in UTF-16, with a byte order mark, with any ends of lines', async () => {
    const folder = await temporaryFolder();
    const text = `\ufeff${await readFile(join(VECTORS, 'rcv1.xftp'), 'utf8')}`;
    const files = [Buffer.from(text), Buffer.from(text, 'utf16le'), Buffer.from(text, 'utf16le').swap16()];
    files.push(Buffer.from(text.replaceAll('\n', '\r')));
    const expected = await xftp(['info', join(VECTORS, 'rcv1.xftp')]);
    expect(expected).toMatchObject({ exitCode: 0, stderr: '' });
    for (const [index, content] of files.entries()) {
      const path = join(folder, `${String(index)}.xftp`);
      await writeFile(path, content);
      expect(await xftp(['info', path])).toEqual(expected);
    }
  });
});

describe('Help', () => {
  it('is shown without a command, on request, and for each command, with exit code 0', async () => {
    const cases = [[], ['--help'], ['-h'], ['help'], ['send', '--help'], ['recv', '-h'], ['del', '--help']];
    await Promise.all(
      cases.map(async (args) => {
        const result = await xftp(args);
        expect(result).toMatchObject({
          exitCode: 0,
          stderr: '',
          stdout: expect.stringMatching(/^Usage: xftp/),
        });
      }),
    );
  });

  it('of send has the largest size with its unit', async () => {
    expect((await xftp(['send', '--help'])).stdout).toMatch(/\(default:\s+5gb\)/);
  });

  it('names the exit codes that there are', async () => {
    expect((await xftp(['--help'])).stdout).toContain(`${String(exitCodeOf('CANCELLED'))} interrupted`);
  });

  it('has the version for --version and -v', async () => {
    const { version } = JSON.parse(await readFile(join(PACKAGE_FOLDER, 'package.json'), 'utf8')) as {
      version: string;
    };
    for (const option of ['--version', '-v'])
      expect(await xftp([option])).toMatchObject({ exitCode: 0, stdout: `xftp ${version} (xftp-agent)\n` });
  });
});
