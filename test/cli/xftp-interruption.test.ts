import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { cleanUp } from '../support/clean-up.js';
import { startFaultProxy } from '../support/fault-proxy.js';
import { startProgram } from '../support/program.js';
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
] as const;

describe('An upload', () => {
  it.each(SIGNALS)(
    'that gets %s ends with exit code %i and leaves no folder of descriptions',
    async (signal, exitCode) => {
      const proxy = await startFaultProxy(relay.port);
      const folder = await temporaryFolder();
      const target = join(folder, 'descriptions');
      await mkdir(target);
      const source = await makeFile(folder, 20_000_000);
      proxy.setFault({ type: 'stall', direction: 'up', after: 2_000_000 });
      const program = startProgram('xftp', [
        'send',
        source,
        target,
        '-s',
        relay.addressWith({ port: proxy.port }),
      ]);
      await proxy.struck();
      expect(await readdir(target)).toEqual(['sample.bin.xftp']);
      expect(await program.end(signal)).toEqual({
        exitCode,
        signal: null,
        stdout: '',
        stderr: 'The transfer was stopped.\n',
      });
      await expectEmpty(target);
    },
  );
});

describe('A download', () => {
  it.each(SIGNALS)(
    'that gets %s ends with exit code %i, leaves nothing, and can be repeated',
    async (signal, exitCode) => {
      const proxy = await startFaultProxy(relay.port);
      const sent = await sendSample(relay.addressWith({ port: proxy.port }), { size: 40_000_000 });
      proxy.setFault({ type: 'stall', direction: 'down', after: 30_000_000 });
      const program = startProgram('xftp', ['recv', sent.recipients[0], sent.into, '-y']);
      await proxy.struck();
      // At most six of the ten chunks are under way at once, so some are written by now, or are about to be.
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
