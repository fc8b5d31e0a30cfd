import { chmod, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { cleanUp } from '../support/clean-up.js';
import { startFaultProxy } from '../support/fault-proxy.js';
import type { ProgramResult } from '../support/program.js';
import { type RelayProcess, startRelayProcess } from '../support/relay-process.js';
import { xftpOnSmallDisk } from '../support/small-disk.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import {
  expectEmpty,
  expectFailure,
  expectReceived,
  makeFile,
  sendSample,
  xftp,
} from '../support/transfers.js';

let relay: RelayProcess;

beforeAll(async () => {
  const end = cleanUp();
  relay = await startRelayProcess({ onEnd: end.add });
  return end.run;
});

/** Root may write everywhere, so it has to give that up first. */
const UNPRIVILEGED = process.getuid?.() === 0 ? ['setpriv', '--inh-caps=-all', '--bounding-set=-all'] : [];

/** The failure of a full disk, on which no file of ours is left. */
function expectDiskFull(result: ProgramResult): void {
  const [, left] = /^left: (.*)$/m.exec(result.stdout) ?? [];
  expect(left?.trim()).toBe('');
  const stdout = result.stdout.replace(/^(?:filled|left:.*)\n/gm, '');
  expectFailure(
    { ...result, stdout },
    'DISK_FULL',
    /^(?:The disk of .* is full: .*|The file system or limits of .* do not allow a file of this size)\.$/,
  );
}

describe('A disk that is full', () => {
  it('before a download is noticed before anything is written', async () => {
    const { recipients } = await sendSample(relay.address, { size: 20_000_000 });
    const program = await xftpOnSmallDisk({ bytes: 8_388_608 }, (disk) => [
      'recv',
      recipients[0],
      disk,
      '-y',
    ]);
    program.endInput();
    expectDiskFull(await program.ended);
  });

  it('in the middle of a download ends it and leaves nothing', async () => {
    const proxy = await startFaultProxy(relay.port);
    const address = relay.addressWith({ port: proxy.port });
    const { recipients } = await sendSample(address, { size: 40_000_000 });
    // By then the first of the ten chunks, and thereby the part file, is there: only six are under way at once.
    proxy.setFault({ type: 'stall', direction: 'down', after: 30_000_000 });
    const program = await xftpOnSmallDisk({ bytes: 50_331_648 }, (disk) => [
      'recv',
      recipients[0],
      disk,
      '-y',
    ]);
    await proxy.struck();
    await program.fill();
    proxy.setFault();
    expectDiskFull(await program.ended);
  });

  it('for the descriptions of a sent file ends with a sentence, and leaves no half description', async () => {
    const source = await makeFile(await temporaryFolder(), 1000);
    const program = await xftpOnSmallDisk({ bytes: 65_536, full: true }, (disk) => [
      'send',
      source,
      disk,
      '-s',
      relay.address,
    ]);
    expectDiskFull(await program.ended);
  });
});

describe('A folder that may not be written to', () => {
  it('gets no file', async () => {
    const { recipients, into } = await sendSample(relay.address);
    await chmod(into, 0o500);
    const result = await xftp(['recv', recipients[0], into, '-y'], { under: UNPRIVILEGED });
    expectFailure(result, 'NO_PERMISSION', /^You have no permission to write to the folder .*into\.$/);
    await expectEmpty(into);
  });

  it.skipIf(process.platform !== 'linux')('is named, also when the system has no word for it', async () => {
    const { recipients } = await sendSample(relay.address);
    const result = await xftp(['recv', recipients[0], '/proc', '-y']);
    expectFailure(result, 'NO_PERMISSION', /^The folder \/proc cannot be written to: choose another one\.$/);
  });

  it('gets no descriptions, and then nothing is uploaded', async () => {
    const folder = await temporaryFolder();
    const source = await makeFile(folder, 1000);
    const before = await relay.chunkPaths();
    await chmod(folder, 0o500);
    const result = await xftp(['send', source, folder, '-s', relay.address], { under: UNPRIVILEGED });
    expectFailure(result, 'NO_PERMISSION', /^You have no permission to use .*\.$/);
    expect(await readdir(folder)).toEqual(['sample.bin']);
    expect(await relay.chunkPaths()).toEqual(before);
  });
});

describe('A description that may not be deleted', () => {
  it('is told in a warning, since the file is there', async () => {
    const sent = await sendSample(relay.address);
    await chmod(join(sent.sender, '..'), 0o500);
    const result = await xftp(['recv', sent.recipients[0], sent.into, '-y'], { under: UNPRIVILEGED });
    expect(result).toMatchObject({
      exitCode: 0,
      stderr: expect.stringMatching(
        /^Warning: The used file description could not be deleted\. You have no permission to use .*rcv1\.xftp\.\n$/,
      ),
    });
    await expectReceived(sent);
  });
});

describe('A file that may not be read', () => {
  it('is not sent', async () => {
    const folder = await temporaryFolder();
    const target = join(folder, 'descriptions');
    await mkdir(target);
    const source = await makeFile(folder, 1000);
    await chmod(source, 0);
    const result = await xftp(['send', source, target, '-s', relay.address], { under: UNPRIVILEGED });
    expectFailure(result, 'NO_PERMISSION', /^You have no permission to use .*sample\.bin\.$/);
    await expectEmpty(target);
  });
});
