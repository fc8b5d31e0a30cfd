import { describe, expect, it } from 'vitest';

import { clientOf } from '../support/agent-observation.js';
import { canMount, programOnSmallDisk } from '../support/small-disk.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { eagerAgent, loopbackRelay, sendWhole } from '../faults/agent-fault-samples.js';

describe('A disk that is full while an agent receives', () => {
  it('makes it wait, and go on when there is room', async ({ skip }) => {
    skip(!canMount(await temporaryFolder()), 'Nobody may mount a disk here.');
    const relay = await loopbackRelay();
    const sender = await eagerAgent({ servers: [relay.address] });
    const { description } = await sendWhole(sender, 3_000_000);
    const dataDir = await temporaryFolder();
    const program = await programOnSmallDisk('xftp-agent', { bytes: 8_388_608 }, (disk) => ({
      args: ['start', '--downloads', disk, '--listen', '127.0.0.1:0', '--server', relay.address],
      options: { env: { XFTP_AGENT_DATA_DIR: dataDir, HOME: dataDir } },
    }));
    const client = await clientOf(program, dataDir);
    const free = await program.fillForAWhile();
    const { id } = await client.transfers.receive({ description });
    const reached = async (wanted: string): Promise<unknown> => {
      const states = client.events({ since: 0, types: ['transfer.state'], transferId: id });
      for await (const { data } of states) if ('to' in data && data.to === wanted) return data;
      return undefined;
    };
    expect(await reached('waiting')).toMatchObject({ waitingReason: 'disk' });
    await free();
    expect(await reached('completed')).toBeDefined();
    expect(await client.transfers.get({ id })).toMatchObject({ state: 'completed', fileSize: 3_000_000 });
  });
});
