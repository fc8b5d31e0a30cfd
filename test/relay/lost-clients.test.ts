import { setTimeout as delay } from 'node:timers/promises';

import { expect, it, onTestFinished } from 'vitest';

import { generateKeyPair } from '#src/crypto/index.js';

import { startFaultProxy } from '../support/fault-proxy.js';
import { measuredRelay } from '../support/measured-relay.js';
import { asRecipient, RawClient } from '../support/raw-client.js';
import { chunkBytes } from '../support/test-relay.js';

/** As many as one connection may have: together they fill every buffer between relay and client. */
const DOWNLOADS = 16;
/** Nothing else may end the downloads while the test runs. */
const FOR_EVER = 3_600_000;
/** The system's buffers are full by then, in ms. */
const FILL_MS = 300;

it('a client that is reset while it is written to gives back its socket and files within seconds', async () => {
  const relay = await measuredRelay({ limits: { downloadStallMs: FOR_EVER, crowdedStallMs: FOR_EVER } });
  const writer = await relay.client();
  const chunk = await writer.create(chunkBytes(4_194_304));
  expect(await writer.put(chunk)).toBe('OK');
  const { files } = await relay.holdings();

  const proxy = await startFaultProxy(relay.port);
  // Each takes a little, until all of them are under way.
  const client = await RawClient.open({ port: proxy.port, fingerprint: relay.fingerprint, window: 16_384 });
  onTestFinished(() => client.close());
  for (let download = 0; download < DOWNLOADS; download++)
    client
      .start()
      .end(client.block({ type: 'FGET', key: generateKeyPair('x25519').publicKey }, asRecipient(chunk)));
  const openFiles = async (): Promise<number> => (await relay.holdings()).files;
  await expect.poll(openFiles, { timeout: 20_000 }).toBe(files + 1 + DOWNLOADS);
  proxy.setFault({ type: 'stall', direction: 'down', after: 0 });
  client.http2.settings({ initialWindowSize: 8 * 1024 * 1024 });
  await proxy.struck();
  await delay(FILL_MS);

  proxy.cutAll();
  await expect.poll(openFiles, { timeout: 5_000 }).toBe(files);
  expect(await writer.get(chunk)).toBeInstanceOf(Buffer);
});
