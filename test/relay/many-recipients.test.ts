import { expect, it } from 'vitest';

import { generateKeyPair } from '#src/crypto/index.js';
import { chunkBytes, testRelay } from '../support/test-relay.js';

it('a chunk with thousands of recipients survives restarts, each with a compaction', async () => {
  const relay = await testRelay();
  const client = await relay.client();
  const chunk = await client.create(chunkBytes(), { recipients: 255 });
  await client.put(chunk);
  const recipientKeys = Array.from({ length: 255 }, () => generateKeyPair('ed25519').publicKey);
  for (let group = 0; group < 12; group++)
    await client.command(
      { type: 'FADD', recipientKeys },
      { entityId: chunk.senderId, key: chunk.senderKey, correlationId: new Uint8Array() },
    );
  const again = await (await relay.restart()).restart();
  expect(again.problems).toEqual([]);
  expect(await (await again.client()).get(chunk)).toEqual(chunk.bytes);
});
