import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, it, onTestFinished } from 'vitest';

import { decodeBase64Url } from '#src/protocol/index.js';

import { runProgram } from '../support/program.js';
import { asRecipient, asSender, errorText, RawClient } from '../support/raw-client.js';
import { programOnSmallDisk } from '../support/small-disk.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { chunkBytes } from '../support/test-relay.js';

/** Room for some hundred lines of the log. */
const DISK = 262_144;

it('a relay whose log takes no more lines deletes nothing: no OK, and the chunk is still served', async () => {
  const home = await temporaryFolder();
  const env = { XFTP_SERVER_CFG_PATH: join(home, 'etc'), XFTP_SERVER_LOG_PATH: join(home, 'var') };
  const init = ['init', '-p', join(home, 'files'), '-q', '1gb', '-a', 'ED25519'];
  const { stdout } = await runProgram('xftp-server', init, { env });
  const fingerprint = decodeBase64Url(/^Fingerprint: (\S+)$/m.exec(stdout)?.[1] ?? '');
  const ini = join(home, 'etc/file-server.ini');
  await writeFile(ini, (await readFile(ini, 'utf8')).replace('port: 443', 'port: 0'));
  const relay = await programOnSmallDisk('xftp-server', { bytes: DISK }, (disk) => ({
    args: ['start'],
    options: { env: { ...env, XFTP_SERVER_LOG_PATH: disk } },
  }));
  relay.endInput();
  const [, port] = await relay.printed(/^Listening on port (\d+)/m);
  const client = await RawClient.open({ port: Number(port), fingerprint });
  onTestFinished(() => client.close());
  const chunk = await client.create(chunkBytes());
  expect(await client.put(chunk)).toBe('OK');
  const registerUntilFull = async (): Promise<never> => {
    for (;;) await client.create(chunkBytes(), { recipients: 100 });
  };
  await expect(registerUntilFull()).rejects.toThrow('INTERNAL');

  const deletion = await client.command({ type: 'FDEL' }, asSender(chunk));
  expect(errorText(deletion.response)).toBe('FILE_IO');
  const acknowledgement = await client.command({ type: 'FACK' }, asRecipient(chunk));
  expect(errorText(acknowledgement.response)).toBe('INTERNAL');
  expect(await client.get(chunk)).toEqual(chunk.bytes);
  expect(relay.output().stderr).toMatch(/disk is full|EFBIG/);
});
