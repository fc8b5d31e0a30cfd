import { spawnSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { startRelayProcess } from '../support/relay-process.js';
import { countsWrittenBytes, reportResources } from '../support/resource-report.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { xftp } from '../support/transfers.js';

const MIB = 1024 * 1024;
const FILE_SIZE = 1024 * MIB;
/** Chunk buffers (32 MiB), what lies in sockets, and Node itself; far below the size of the file. */
const MEMORY_LIMIT = 150 * MIB;
/** Descriptions, folders and the report itself. */
const FEW_BYTES = 8 * MIB;

describe('A file of 1 GiB through the programs', () => {
  it(
    'comes back as it was, in bounded memory, and each byte is written once',
    { timeout: 300_000 },
    async () => {
      const folder = await temporaryFolder();
      const relay = await startRelayProcess();
      const source = join(folder, 'large.bin');
      const received = join(folder, 'received.bin');
      const description = join(folder, 'large.bin.xftp/rcv1.xftp');
      const measure = await reportResources(folder);
      const counted = await countsWrittenBytes(folder);

      expect(await xftp(['rand', source, '1gb'])).toMatchObject({ exitCode: 0 });

      const sending = await xftp(['send', source, folder, '-s', relay.address], measure);
      expect(sending).toMatchObject({ exitCode: 0, stderr: '' });
      const sender = await measure.report();
      expect(sender.peakMemory).toBeLessThan(MEMORY_LIMIT);
      expect(sender.written).toBeLessThan(FEW_BYTES);

      const receiving = await xftp(['recv', description, received, '-y'], measure);
      expect(receiving).toMatchObject({ exitCode: 0, stderr: '' });
      const recipient = await measure.report();
      expect(recipient.peakMemory).toBeLessThan(MEMORY_LIMIT);
      expect(recipient.written).toBeLessThan(FILE_SIZE + FEW_BYTES);
      // Where the kernel does not count (file systems in memory), there is no lower bound to check.
      expect(recipient.written).toBeGreaterThanOrEqual(counted ? FILE_SIZE : 0);

      expect(spawnSync('cmp', [source, received]).status).toBe(0);
      // Three copies of the file are more than the other tests should have to share the disk with.
      await rm(source);
    },
  );
});
