import { onTestFinished, describe, expect, it } from 'vitest';

import { decodeBase64Url } from '#src/protocol/index.js';

import { RawClient, type RawChunk } from '../support/raw-client.js';
import { type RelayProcess, startRelayProcess } from '../support/relay-process.js';
import { chunkBytes } from '../support/test-relay.js';

const ROUNDS = 10;
/** Connections that upload side by side. */
const CONNECTIONS = 4;
/** Acknowledged uploads after which the relay is killed; it differs from round to round. */
const uploadsIn = (round: number): number => 8 + 5 * round;

describe('A relay that is killed with -9 during many uploads', () => {
  it('serves every chunk that it had acknowledged, in each of ten rounds', async () => {
    const relay = await startRelayProcess();
    const acknowledged: RawChunk[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      acknowledged.push(...(await uploadUntilKilled(relay, uploadsIn(round))));
      await relay.start();
      const client = await connect(relay);
      await Promise.all(
        acknowledged.map(async (chunk) => {
          const bytes = await client.get(chunk);
          expect(Buffer.isBuffer(bytes) && bytes.equals(chunk.bytes)).toBe(true);
        }),
      );
      await client.close();
    }
    expect(acknowledged.length).toBeGreaterThan(ROUNDS * uploadsIn(0));
  });
});

/** Uploads on several connections, kills the relay in the midst of it, and gives what it had acknowledged. */
async function uploadUntilKilled(relay: RelayProcess, uploads: number): Promise<RawChunk[]> {
  const acknowledged: RawChunk[] = [];
  let killed: Promise<unknown> | undefined;
  const upload = async (client: RawClient): Promise<void> => {
    while (killed === undefined) {
      const chunk = await client.create(chunkBytes());
      if ((await client.put(chunk)) !== 'OK') continue;
      acknowledged.push(chunk);
      if (acknowledged.length >= uploads) killed ??= relay.kill();
    }
  };
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => connect(relay)));
  // What was under way when the relay was killed fails.
  await Promise.allSettled(clients.map(upload));
  await killed;
  return acknowledged;
}

async function connect({ port, address }: RelayProcess): Promise<RawClient> {
  const fingerprint = decodeBase64Url(/\/\/([^@]+)/.exec(address)?.[1] ?? '');
  const client = await RawClient.open({ port, fingerprint });
  onTestFinished(() => client.close());
  return client;
}
