import { mkdtemp, rm } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startRelay } from '#src/relay/index.js';
import { RawClient } from '../support/raw-client.js';

it('stores and gives back a chunk', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'relay-'));
  const relay = await startRelay({ filesPath: join(dir, 'f'), storeLogPath: join(dir, 's.log'), report: console.log });
  const client = await RawClient.open({ port: relay.port, fingerprint: relay.fingerprint });
  for (const size of [65536, 1048576, 4194304]) {
    const chunk = await client.create(randomBytes(size));
    expect(await client.get(chunk)).toBe('NO_FILE');
    expect(await client.put(chunk)).toBe('OK');
    const got = await client.get(chunk);
    expect(Buffer.compare(got as Buffer, Buffer.from(chunk.bytes))).toBe(0);
  }
  await client.close();
  await relay.stop();
  await rm(dir, { recursive: true });
});
