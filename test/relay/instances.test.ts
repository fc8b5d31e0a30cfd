import { join } from 'node:path';

import { expect, it, onTestFinished } from 'vitest';

import { startRelay } from '#src/relay/index.js';
import { failing } from '../crypto/expected-failure.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { testRelay } from '../support/test-relay.js';

it('a second relay on the same log or chunks is refused, and the first one loses nothing', async () => {
  const relay = await testRelay();
  const client = await relay.client();
  await client.put(await client.create(new Uint8Array(65536)));
  const other = await temporaryFolder();
  const sameFiles = startRelay({ filesPath: relay.filesPath, storeLogPath: join(other, 'log') });
  await expect(sameFiles).rejects.toThrow(failing('ALREADY_RUNNING'));
  const sameLog = startRelay({ filesPath: join(other, 'files'), storeLogPath: relay.storeLogPath });
  await expect(sameLog).rejects.toThrow(failing('ALREADY_RUNNING'));
  const chunk = await client.create(new Uint8Array(65536).fill(1));
  await client.put(chunk);
  const again = await (await relay.restart()).client();
  expect(await again.get(chunk)).toEqual(Buffer.alloc(65536, 1));
});

it('the lock is free again when a relay has stopped', async () => {
  const filesPath = await temporaryFolder();
  const first = await startRelay({ filesPath });
  await first.stop();
  const second = await startRelay({ filesPath });
  onTestFinished(() => second.stop());
  expect(second.port).toBeGreaterThan(0);
});
