import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { encodeBase64Url, parseServerAddress } from '#src/protocol/index.js';

import { cleanUp } from '../support/clean-up.js';
import { freePort, type RelayProcess, startRelayProcess } from '../support/relay-process.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { digestOf, xftp } from '../support/transfers.js';

/**
 * Chunks go to relays at random. This file has 32 of them, so that a third relay is left out by chance once in
 * 400 000 runs.
 */
const FILE_SIZE = 127 * 1024 * 1024;

let relays: RelayProcess[];

beforeAll(async () => {
  const end = cleanUp();
  relays = await Promise.all([1, 2].map(() => startRelayProcess({ onEnd: end.add })));
  return end.run;
});

/** Sends a file through some relays, then receives it. */
async function sendThrough(...addresses: string[]): Promise<{ warnings: string[]; ports: number[] }> {
  const folder = await temporaryFolder();
  const source = join(folder, 'large.bin');
  await writeFile(source, 'not empty');
  await truncate(source, FILE_SIZE);
  const sending = await xftp(['send', source, folder, '-s', addresses.join(';'), '-r', '1']);
  expect(sending).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('File uploaded!') });
  const description = join(folder, 'large.bin.xftp/rcv1.xftp');
  const used = (await readFile(description, 'utf8')).matchAll(/server: (\S+)/g);
  const received = join(folder, 'received.bin');
  expect(await xftp(['recv', description, received, '-y'])).toMatchObject({ exitCode: 0, stderr: '' });
  expect(await digestOf(received)).toBe(await digestOf(source));
  return {
    warnings: sending.stderr.split('\n').filter((line) => line !== ''),
    ports: [...used].map(([, server = '']) => parseServerAddress(server).port ?? 0),
  };
}

describe('A file sent through three relays', () => {
  it('of which one is down goes through the others, with one warning', async () => {
    const { warnings, ports } = await sendThrough(
      relays[0]!.address,
      relays[0]!.addressWith({ port: await freePort() }),
      relays[1]!.address,
    );
    expect(warnings).toEqual([
      expect.stringMatching(
        /^Warning: Cannot connect to 127\.0\.0\.1:\d+: nothing listens there\. The rest of the file is sent through other relays\.$/,
      ),
    ]);
    expect(ports.sort((a, b) => a - b)).toEqual(relays.map(({ port }) => port).sort((a, b) => a - b));
  });

  it('of which one has another identity and one is full goes through the third, with a warning for each', async () => {
    const full = await startRelayProcess({ quota: 1024 ** 2 });
    const impostor = relays[0]!.address.replace(/\/\/[^@]+/, `//${encodeBase64Url(new Uint8Array(32))}`);
    const { warnings, ports } = await sendThrough(relays[1]!.address, impostor, full.address);
    expect(warnings.sort()).toEqual([
      expect.stringMatching(
        /^Warning: 127\.0\.0\.1:\d+ is not the relay that its address names: .* The rest of the file .*\.$/,
      ),
      expect.stringMatching(/^Warning: The relay 127\.0\.0\.1:\d+ is full: .* The rest of the file .*\.$/),
    ]);
    expect(ports).toEqual([relays[1]!.port]);
  });
});
