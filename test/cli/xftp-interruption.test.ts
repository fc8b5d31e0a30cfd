import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { beforeAll, describe, expect, it } from 'vitest';

import { cleanUp } from '../support/clean-up.js';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.js';
import {
  PACKAGE_FOLDER,
  type ProgramOptions,
  type RunningProgram,
  startProgram,
} from '../support/program.js';
import { type RelayProcess, startRelayProcess } from '../support/relay-process.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { expectEmpty, expectReceived, makeFile, sendSample, xftp } from '../support/transfers.js';

let relay: RelayProcess;

beforeAll(async () => {
  const end = cleanUp();
  relay = await startRelayProcess({ onEnd: end.add });
  return end.run;
});

const SIGNALS = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const;

/** IDs of the chunks that a relay has registered and not deleted, as its store log tells. */
async function chunksOn({ storeLogPath }: RelayProcess): Promise<string[]> {
  const lines = (await readFile(storeLogPath, 'utf8')).split('\n').map((line) => line.split(' '));
  const idsOf = (change: string): string[] =>
    lines.filter(([name]) => name === change).map(([, id = '']) => id);
  const deleted = new Set(idsOf('FDEL'));
  return idsOf('FNEW').filter((id) => !deleted.has(id));
}

describe('An upload', () => {
  it.each(SIGNALS)(
    'that gets %s ends with exit code %i and leaves neither folders nor chunks',
    async (signal, exitCode) => {
      const proxy = await startFaultProxy(relay.port);
      const before = await chunksOn(relay);
      const folder = await temporaryFolder();
      const source = await makeFile(folder, 20_000_000);
      proxy.setFault({ type: 'stall', direction: 'up', after: 6_000_000 });
      const program = startProgram('xftp', [
        'send',
        source,
        join(folder, 'new', 'descriptions'),
        '-s',
        relay.addressWith({ port: proxy.port }),
      ]);
      await proxy.struck();
      expect(await chunksOn(relay)).not.toEqual(before);
      expect(await readdir(join(folder, 'new', 'descriptions'))).toEqual(['sample.bin.xftp']);
      expect(await program.end(signal)).toEqual({
        exitCode,
        signal: null,
        stdout: '',
        stderr: 'The transfer was stopped.\n',
      });
      expect(await readdir(folder)).toEqual(['sample.bin']);
      expect(await chunksOn(relay)).toEqual(before);
    },
  );

  it('that is stopped tells with -v that it deletes chunks', async () => {
    const { program, proxy } = await stalledUpload(['-v']);
    await proxy.struck();
    expect((await program.end('SIGINT')).stderr).toMatch(
      /^Deleting \d chunks? of the file from the relays\.\nThe transfer was stopped\.\n$/,
    );
  });

  it('that is stopped when the relay no longer answers ends soon, and says what it had to leave', async () => {
    const { program, proxy } = await stalledUpload();
    await proxy.struck();
    // Nothing passes any more on new connections either.
    proxy.setFault({ type: 'stall', direction: 'up', after: 0 });
    const before = performance.now();
    expect(await program.end('SIGINT')).toMatchObject({
      exitCode: 130,
      stderr: expect.stringMatching(
        /^Warning: (\d) of \1 chunks? could not be deleted .* expire by themselves\.\nThe transfer was stopped\.\n$/,
      ),
    });
    expect(performance.now() - before).toBeLessThan(12_000);
  });

  it('that is stopped twice ends at once, and leaves no folder', async () => {
    const { folder, program, proxy } = await stalledUpload(['-v']);
    await proxy.struck();
    proxy.setFault({ type: 'stall', direction: 'up', after: 0 });
    const stopping = program.end('SIGINT');
    await program.printed(/^Deleting /m);
    const before = performance.now();
    expect(await program.end('SIGINT')).toEqual(await stopping);
    expect(await stopping).toMatchObject({ exitCode: 130, stderr: expect.stringMatching(/^Deleting .*\n$/) });
    expect(await readdir(folder)).toEqual(['sample.bin']);
    expect(performance.now() - before).toBeLessThan(2000);
  });

  it.each(['rm', 'terminate'] as const)(
    'that is stopped again in the last step of its clean-up (%s) leaves no folder',
    async (step) => {
      const { folder, program, proxy } = await stalledUpload([], interruptedAt(step));
      await proxy.struck();
      expect(await program.end('SIGINT')).toMatchObject({ exitCode: 130, signal: null });
      expect(await readdir(folder)).toEqual(['sample.bin']);
    },
  );
});

/** A program that gets a second signal at a step of its clean-up. */
function interruptedAt(step: 'rm' | 'unlink' | 'terminate'): ProgramOptions {
  const preload = pathToFileURL(join(PACKAGE_FOLDER, 'test/support/interrupted-step-preload.js'));
  return { nodeArguments: ['--import', preload.href], env: { XFTP_TEST_INTERRUPTED_STEP: step } };
}

/** Starts an upload that will stand still after some chunks. */
async function stalledUpload(
  args: readonly string[] = [],
  options: ProgramOptions = {},
): Promise<{ readonly folder: string; readonly program: RunningProgram; readonly proxy: FaultProxy }> {
  const proxy = await startFaultProxy(relay.port);
  const folder = await temporaryFolder();
  const source = await makeFile(folder, 20_000_000);
  proxy.setFault({ type: 'stall', direction: 'up', after: 6_000_000 });
  const address = relay.addressWith({ port: proxy.port });
  const into = join(folder, 'new');
  const program = startProgram('xftp', ['send', source, into, '-s', address, ...args], options);
  return { folder, program, proxy };
}

describe('A download', () => {
  it.each(SIGNALS)(
    'that gets %s ends with exit code %i, leaves nothing, and can be repeated',
    async (signal, exitCode) => {
      const proxy = await startFaultProxy(relay.port);
      const sent = await sendSample(relay.addressWith({ port: proxy.port }), { size: 40_000_000 });
      proxy.setFault({ type: 'stall', direction: 'down', after: 36_000_000 });
      const program = startProgram('xftp', ['recv', sent.recipients[0], sent.into, '-y']);
      await proxy.struck();
      // At most six of the ten chunks are under way at once, so the first one is written by now, or is about to be.
      await expect
        .poll(() => readdir(sent.into), { interval: 10, timeout: 20_000 })
        .toEqual([expect.stringMatching(/^\..*sample\.bin.*part$/)]);
      expect(await program.end(signal)).toEqual({
        exitCode,
        signal: null,
        stdout: '',
        stderr: 'The transfer was stopped.\n',
      });
      await expectEmpty(sent.into);
      expect(await readFile(sent.recipients[0], 'utf8')).toContain('party: recipient');

      proxy.setFault();
      expect(await xftp(['recv', sent.recipients[0], sent.into, '-y'])).toMatchObject({
        exitCode: 0,
        stderr: '',
      });
      await expectReceived(sent);
    },
  );

  it('that is stopped again while it removes its part file leaves nothing', async () => {
    const proxy = await startFaultProxy(relay.port);
    const sent = await sendSample(relay.addressWith({ port: proxy.port }), { size: 40_000_000 });
    proxy.setFault({ type: 'stall', direction: 'down', after: 36_000_000 });
    const args = ['recv', sent.recipients[0], sent.into, '-y'];
    const program = startProgram('xftp', args, interruptedAt('unlink'));
    await expect
      .poll(() => readdir(sent.into), { interval: 10, timeout: 20_000 })
      .toEqual([expect.stringMatching(/^\..*sample\.bin.*part$/)]);
    expect(await program.end('SIGINT')).toMatchObject({ exitCode: 130, signal: null });
    await expectEmpty(sent.into);
  });

  it('that is stopped while it tells the relays is complete, and ends with 0 and a warning', async () => {
    const proxy = await startFaultProxy(relay.port);
    const sent = await sendSample(relay.addressWith({ port: proxy.port }), { size: 50_000 });
    // The hello and the request for the only chunk pass, each a block of 16 KiB; what follows does not.
    proxy.setFault({ type: 'stall', direction: 'up', after: 45_000 });
    const program = startProgram('xftp', ['recv', sent.recipients[0], sent.into, '-y']);
    await proxy.struck();
    await program.printed(/^File downloaded: /);
    expect(await program.end('SIGINT')).toMatchObject({
      exitCode: 0,
      stdout: `File downloaded: ${join(sent.into, 'sample.bin')}\n`,
      stderr: expect.stringMatching(/^Warning: The file is complete, but not all relays were told so: .*\n$/),
    });
    await expectReceived(sent);
  });

  it('that waits for its next try stops at once', async () => {
    const proxy = await startFaultProxy(relay.port);
    const sent = await sendSample(relay.addressWith({ port: proxy.port }));
    proxy.setFault({ type: 'cut', direction: 'down', after: 0 });
    const program = startProgram('xftp', ['recv', sent.recipients[0], sent.into, '-y', '-r', '1000']);
    await proxy.struck();
    const before = performance.now();
    expect(await program.end('SIGINT')).toMatchObject({
      exitCode: 130,
      stderr: 'The transfer was stopped.\n',
    });
    expect(performance.now() - before).toBeLessThan(5000);
    await expectEmpty(sent.into);
  });
});
