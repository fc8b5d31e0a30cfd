import { once } from 'node:events';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { startEmbeddedRelay } from '#src/cli/agent-embedded-relay.js';

import { temporaryFolder } from '../support/temporary-folder.js';

const log = (): void => undefined;

describe('The embedded relay', () => {
  it('has the same address after a restart, and keys for its owner alone', async () => {
    const dataDir = await temporaryFolder();
    const first = await startEmbeddedRelay(dataDir, log);
    expect(first.address).toMatch(/^xftp:\/\/[\w-]{43}=@127\.0\.0\.1:\d+$/);
    await first.stop();
    const second = await startEmbeddedRelay(dataDir, log);
    onTestFinished(second.stop);
    expect(second.address).toBe(first.address);
    const mode = async (name: string): Promise<number> =>
      (await stat(join(dataDir, 'relay', name))).mode & 0o777;
    expect(await mode('.')).toBe(0o700);
    expect(await mode('keys')).toBe(0o700);
    expect(await mode('keys/ca.key')).toBe(0o600);
    expect(await mode('keys/server.key')).toBe(0o600);
  });

  it('says what to do when its port is taken', async () => {
    const dataDir = await temporaryFolder();
    const first = await startEmbeddedRelay(dataDir, log);
    await first.stop();
    const other = createServer().listen(first.port, '127.0.0.1');
    await once(other, 'listening');
    onTestFinished(() => void other.close());
    await expect(startEmbeddedRelay(dataDir, log)).rejects.toMatchObject({
      code: 'ADDRESS_IN_USE',
      message: expect.stringMatching(
        /^Port \d+ of the embedded relay is taken .* delete .*port to get another/,
      ),
    });
  });

  it('makes its keys anew when the making was interrupted, and never half of them', async () => {
    const dataDir = await temporaryFolder();
    const first = await startEmbeddedRelay(dataDir, log);
    await first.stop();
    expect(await readdir(join(dataDir, 'relay'))).not.toContain('keys.new');
    await writeFile(join(dataDir, 'relay/port'), 'none');
    await expect(startEmbeddedRelay(dataDir, log)).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });
});
