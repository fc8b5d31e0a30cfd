import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, it, onTestFinished, vi } from 'vitest';

import { addTransfers, serveFakeAgent } from '../support/agent-program.js';
import { commandOf, type ProgramName, startCommand } from '../support/program.js';
import { startRelayProcess } from '../support/relay-process.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { makeFile, sendSample } from '../support/transfers.js';

/** Programs start slowly on a busy machine; nothing waits for it when all is well. */
const SLOW_START_MS = 30_000;
/** Runs a program, whose exit code it prints, when the reader of its standard output is gone. */
const SCRIPT = '{ read -r go; "$@"; echo "code $?" >&2; } | { exec <&-; echo closed >&2; }';

/** What a program writes to standard error while nobody reads its standard output, and its exit code. */
async function withoutReader(name: ProgramName, args: readonly string[]): Promise<string> {
  const program = startCommand(['sh', '-c', SCRIPT, 'sh', ...commandOf(name, args)], { interactive: true });
  await program.printed(/^closed$/m);
  program.write('go\n');
  program.endInput();
  const { stderr } = await program.ended;
  return stderr.replace('closed\n', '');
}

it('a program whose output nobody reads ends quietly and well', async () => {
  const relay = await startRelayProcess();
  const { recipients } = await sendSample(relay.address);
  const folder = await temporaryFolder();
  const source = await makeFile(folder, 300_000);
  const runs: readonly (readonly [ProgramName, readonly string[]])[] = [
    ['xftp', ['info', recipients[0]]],
    ['xftp', ['info', recipients[0], '--json']],
    ['xftp', ['send', source, folder, '-s', relay.address, '--json']],
    ['xftp', ['--help']],
    ['xftp', []],
    ['xftp-server', ['--help']],
  ];
  for (const [name, args] of runs)
    expect([name, args, await withoutReader(name, args)]).toEqual([name, args, 'code 0\n']);
  expect((await readdir(join(folder, 'sample.bin.xftp'))).sort()).toEqual(['rcv1.xftp', 'snd.xftp.private']);
});

it.each([['watch'], ['events', '--since', '0', '--follow'], ['watch', '--json']])(
  'xftp-agent %s ends when nobody reads it any more',
  async (...args) => {
    const served = await serveFakeAgent();
    const words = ['sh', '-c', '"$@" | head -n 1', 'sh', ...commandOf('xftp-agent', args)];
    const program = startCommand(words, {
      env: { XFTP_AGENT_DATA_DIR: served.dataDir, HOME: served.dataDir },
    });
    await vi.waitFor(() => {
      expect(served.agent.listeners()).toBeGreaterThan(0);
    }, SLOW_START_MS);
    const more = setInterval(() => void addTransfers(served, 1), 100);
    onTestFinished(() => {
      clearInterval(more);
    });
    const { exitCode, stdout, stderr } = await program.ended;
    expect([exitCode, stdout.trimEnd().split('\n').length, stderr]).toEqual([0, 1, '']);
    await expect.poll(() => served.agent.listeners()).toBe(0);
  },
);

it('a failure is still told when nobody reads the results', async () => {
  const missing = join(await temporaryFolder(), 'missing.xftp');
  const stderr = await withoutReader('xftp', ['info', missing]);
  expect(stderr).toMatch(/^[^\n]+\.\ncode [1-9]\d*\n$/);
});
