import dns, { type LookupAddress } from 'node:dns';

import { expect, it, onTestFinished, vi } from 'vitest';

import { parseServerAddress } from '#src/protocol/index.js';
import { startRelay } from '#src/relay/index.js';
import { openSession } from '#src/transport/index.js';
import { temporaryFolder } from '../support/temporary-folder.js';

it('a relay is reached although the first address of its name does not answer', async () => {
  const folder = await temporaryFolder();
  const relay = await startRelay({ filesPath: folder, host: 'relay.test', listenHost: '127.0.0.1' });
  onTestFinished(() => relay.stop());
  const addresses: LookupAddress[] = [
    { address: '127.0.0.2', family: 4 },
    { address: '127.0.0.1', family: 4 },
  ];
  const lookup = vi.spyOn(dns, 'lookup');
  onTestFinished(() => {
    lookup.mockRestore();
  });
  lookup.mockImplementation(((
    _name: string,
    _options: object,
    done: (error: null, all: LookupAddress[]) => void,
  ) => {
    process.nextTick(done, null, addresses);
    // The overloads of `lookup` cannot be written as one function.
  }) as unknown as typeof dns.lookup);
  const deadlines = { connectMs: 20_000, stallMs: 20_000 };
  const session = await openSession(parseServerAddress(relay.address), { deadlines });
  expect(lookup).toHaveBeenCalledOnce();
  expect(session.version).toBe(3);
  session.close();
  await session.closed;
});
