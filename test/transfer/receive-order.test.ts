import { readFile } from 'node:fs/promises';

import { expect, it } from 'vitest';

import type { RelayClient } from '#src/client/index.js';
import { parseDescription } from '#src/protocol/index.js';
import { receiveFile } from '#src/transfer/index.js';
import { testRelay } from '../support/test-relay.js';
import { expectReceived, sendSample, transferContext } from '../support/transfers.js';
import { deferred } from '../transport/channel-samples.js';

/** Four chunks of 4 MiB and one of 1 MiB. */
const SIZE = 17_000_000;
const CHUNKS = 5;
/** Half of those that memory is for. */
const AT_FIRST = 3;

it('half of the downloads begin when the first one has brought something, and then all of them come', async () => {
  const relay = await testRelay();
  const sent = await sendSample(relay.address, { size: SIZE });
  const description = parseDescription(await readFile(sent.recipients[0], 'utf8'));
  expect(description.chunks).toHaveLength(CHUNKS);
  const context = transferContext();
  const held = deferred();
  const others: Promise<unknown>[] = [];
  let asked = 0;
  // The first download waits for the test, the others go their way.
  const downloadChunk: RelayClient['downloadChunk'] = async (...parameters) => {
    asked += 1;
    if (asked === 1) {
      await held.promise;
      return await context.client.downloadChunk(...parameters);
    }
    const download = context.client.downloadChunk(...parameters);
    others.push(download);
    return await download;
  };
  const client = new Proxy(context.client, {
    get: (target, key) => (key === 'downloadChunk' ? downloadChunk : (Reflect.get(target, key) as unknown)),
  });
  const received = receiveFile({ description, destination: { folder: sent.into } }, { ...context, client });
  await expect.poll(() => others.length, { timeout: 10_000 }).toBe(AT_FIRST - 1);
  await Promise.all(others);
  expect(asked).toBe(AT_FIRST);
  held.resolve();
  await received;
  expect(asked).toBe(CHUNKS);
  await expectReceived(sent);
});
