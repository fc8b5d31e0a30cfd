import { symlinkSync } from 'node:fs';
import { readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, it, onTestFinished } from 'vitest';

import { decodeBase64Url } from '#src/protocol/index.js';

import { RawClient } from '../support/raw-client.js';
import { runServer, serverVariables } from '../support/server-process.js';
import { canMount, programOnSmallDisk } from '../support/small-disk.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { chunkBytes } from '../support/test-relay.js';

/** Room for two of the chunks and a part of a third. */
const DISK = 2_600_000;
const CHUNK = 1_048_576;

it('a disk that becomes full in the middle of a chunk is named as the reason, and later chunks may fit', async (context) => {
  const home = await temporaryFolder();
  if (!canMount(home)) context.skip('No small disk can be made here.');
  const files = join(home, 'srv');
  await runServer(home, ['init', '-p', files, '-q', '1gb', '-a', 'ED25519']);
  const ini = join(home, 'etc/file-server.ini');
  await writeFile(ini, (await readFile(ini, 'utf8')).replace('port: 443', 'port: 0'));
  const fingerprint = decodeBase64Url((await readFile(join(home, 'etc/fingerprint'), 'utf8')).trim());
  await rmdir(files);
  const relay = await programOnSmallDisk('xftp-server', { bytes: DISK }, (disk) => {
    symlinkSync(disk, files);
    return { args: ['start'], options: { env: serverVariables(home) } };
  });
  relay.endInput();
  const [, port] = await relay.printed(/^Listening on port (\d+)/m);
  const client = await RawClient.open({ port: Number(port), fingerprint });
  onTestFinished(() => client.close());
  const put = async (size: number): Promise<string> => client.put(await client.create(chunkBytes(size)));
  expect([await put(CHUNK), await put(CHUNK), await put(CHUNK), await put(65_536)]).toEqual([
    'OK',
    'OK',
    'QUOTA',
    'OK',
  ]);
  expect(relay.output().stderr).toBe('The relay could not carry out a request: the disk is full.\n');
});
