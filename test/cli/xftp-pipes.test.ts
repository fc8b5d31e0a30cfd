import { readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { exitCodeOf } from '#src/cli/exit-codes.js';

import { cleanUp } from '../support/clean-up.js';
import { commandOf, startCommand } from '../support/program.js';
import { type RelayProcess, startRelayProcess } from '../support/relay-process.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { expectReceived, sendSample, xftp } from '../support/transfers.js';

let relay: RelayProcess;

beforeAll(async () => {
  const end = cleanUp();
  relay = await startRelayProcess({ onEnd: end.add });
  return end.run;
});

describe('A description from a pipe', () => {
  it('is received from a program as from a shell', async () => {
    const sent = await sendSample(relay.address);
    // Node gives its programs sockets.
    const input = await readFile(sent.recipients[0], 'utf8');
    expect(await xftp(['recv', '/dev/stdin', sent.into, '-y'], { input })).toMatchObject({
      exitCode: 0,
      stderr: '',
    });
    await expectReceived(sent);
  });

  it('is received, and nothing is asked or deleted', async () => {
    const sent = await sendSample(relay.address);
    const description = await readFile(sent.recipients[0], 'utf8');
    const words = commandOf('xftp', ['recv', '/dev/stdin', sent.into]);
    const result = await startCommand(['sh', '-c', 'cat "$0" | "$@"', sent.recipients[0], ...words]).ended;
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await readFile(sent.recipients[0], 'utf8')).toBe(description);
    await expectReceived(sent);
  });

  it('with a name is received, and the pipe stays', async () => {
    const sent = await sendSample(relay.address);
    const pipe = join(await temporaryFolder(), 'pipe');
    const script = 'mkfifo "$0" && { cat "$1" > "$0" & shift; "$@"; } && test -p "$0"';
    const words = commandOf('xftp', ['recv', pipe, sent.into, '-y']);
    const result = await startCommand(['sh', '-c', script, pipe, sent.recipients[0], ...words]).ended;
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(result.stdout).toMatch(/^File downloaded: .*sample\.bin\n$/);
    await expectReceived(sent);
  });

  it('that holds nothing is no description', async () => {
    const result = await xftp(['info', '/dev/stdin'], { input: '' });
    expect(result).toMatchObject({ exitCode: exitCodeOf('INVALID_DESCRIPTION'), stdout: '' });
  });
});

describe('A description behind a link', () => {
  it('stays, as the link does', async () => {
    const sent = await sendSample(relay.address);
    const link = join(await temporaryFolder(), 'link.xftp');
    await symlink(sent.recipients[0], link);
    expect(await xftp(['recv', link, sent.into, '-y'])).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await readFile(link, 'utf8')).toContain('party: recipient');
    await expectReceived(sent);
  });
});

describe.runIf(process.platform === 'linux')('Standard output on a full disk', () => {
  /** Runs `xftp` with its standard output on a disk that is always full. */
  function onFullDisk(args: readonly string[]): ReturnType<typeof xftp> {
    return startCommand(['sh', '-c', '"$@" > /dev/full', 'sh', ...commandOf('xftp', args)]).ended;
  }

  it('is told, once, and makes a program fail that has done its work', async () => {
    const sent = await sendSample(relay.address);
    for (const args of [
      ['info', sent.recipients[0]],
      ['recv', sent.recipients[0], sent.into, '-y', '--json'],
    ])
      expect(await onFullDisk(args)).toMatchObject({
        exitCode: exitCodeOf('DISK_FULL'),
        stderr: 'The disk of standard output is full: make room and try again.\n',
      });
    await expectReceived(sent);
  });

  it('leaves the exit code of another failure as it is', async () => {
    const missing = join(await temporaryFolder(), 'missing.xftp');
    const { exitCode } = await onFullDisk(['info', missing, '--json']);
    expect(exitCode).toBe(exitCodeOf('SOURCE_MISSING'));
  });
});
