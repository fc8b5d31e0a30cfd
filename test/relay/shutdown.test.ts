import { describe, expect, it } from 'vitest';

import { decodeBase64Url } from '#src/protocol/index.js';
import { generateKeyPair } from '#src/crypto/index.js';

import { startFaultProxy } from '../support/fault-proxy.js';
import { asRecipient, openTls, RawClient, type RawChunk } from '../support/raw-client.js';
import { startRelayProcess } from '../support/relay-process.js';
import { chunkBytes, testRelay } from '../support/test-relay.js';

/** Downloads that fill every buffer between the relay and a client that reads no more. */
const DOWNLOADS = 16;

/** A connection that takes nothing any more, in the middle of downloads: not even that the relay says goodbye. */
async function deafClient(port: number, fingerprint: Uint8Array, chunk: RawChunk): Promise<void> {
  const proxy = await startFaultProxy(port);
  const client = await RawClient.open({ port: proxy.port, fingerprint });
  proxy.setFault({ type: 'stall', direction: 'down', after: 100_000 });
  for (let download = 0; download < DOWNLOADS; download++)
    client
      .start()
      .end(client.block({ type: 'FGET', key: generateKeyPair('x25519').publicKey }, asRecipient(chunk)));
  await proxy.struck();
}

describe('the end of a relay', () => {
  it('comes in time although clients neither answer nor read', async () => {
    const relay = await testRelay({ limits: { shutdownMs: 300 } });
    const writer = await relay.client();
    const chunk = await writer.create(chunkBytes(4194304));
    expect(await writer.put(chunk)).toBe('OK');
    await deafClient(relay.port, relay.fingerprint, chunk);
    // One that never begins HTTP/2, and one whose request never ends.
    await openTls({ port: relay.port });
    (await relay.client()).start().write('a request that never ends');
    const started = performance.now();
    await relay.stop();
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it('comes within some 10 s of SIGTERM, with exit code 0', async () => {
    const relay = await startRelayProcess();
    const fingerprint = decodeBase64Url(/\/\/([^@]+)/.exec(relay.address)?.[1] ?? '');
    const writer = await RawClient.open({ port: relay.port, fingerprint });
    const chunk = await writer.create(chunkBytes(4194304));
    expect(await writer.put(chunk)).toBe('OK');
    await writer.close();
    await deafClient(relay.port, fingerprint, chunk);
    const started = performance.now();
    expect(await relay.stop()).toMatchObject({ exitCode: 0, stderr: '' });
    expect(performance.now() - started).toBeLessThan(15_000);
  });
});
