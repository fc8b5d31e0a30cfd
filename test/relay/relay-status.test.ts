import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

import { expect, it, onTestFinished } from 'vitest';

import { askRelay, initRelay, loadRelayConfig } from '#src/relay/index.js';
import { lockRelayFiles } from '#src/relay/instance-lock.js';

import { failing } from '../crypto/expected-failure.js';
import { freePort } from '../support/relay-process.js';
import { temporaryFolder } from '../support/temporary-folder.js';

/** A relay with this metrics port that is to run, and what begins it: it takes the lock before it opens its ports. */
async function relayWith(metricsPort: number): Promise<{
  readonly ask: () => ReturnType<typeof askRelay>;
  readonly start: () => Promise<void>;
}> {
  const home = await temporaryFolder();
  const folders = { config: join(home, 'etc'), log: join(home, 'var') };
  const filesPath = join(home, 'srv');
  await initRelay(folders, {
    filesPath,
    storageQuota: 65536,
    ip: '127.0.0.1',
    algorithm: 'ed25519',
    storeLog: true,
  });
  const config = await loadRelayConfig(folders, { XFTP_TRANSPORT_METRICS_PORT: String(metricsPort) });
  return {
    ask: () => askRelay(config),
    start: async () => {
      const unlock = await lockRelayFiles(filesPath, undefined, 'relay');
      onTestFinished(unlock);
    },
  };
}

it('a relay whose ports are not open yet may be starting still', async () => {
  const port = await freePort();
  const { ask, start } = await relayWith(port);
  expect(await ask()).toMatchObject({ running: false });
  await start();
  const asking = ask();
  await expect(asking).rejects.toThrow(failing('CONNECT_FAILED'));
  await expect(asking).rejects.toThrow(
    `tells nothing on 127.0.0.1, port ${String(port)}: is it still starting, which a large store log makes long, or was the INI`,
  );
});

it('a program that says much on the port of the metrics is no relay', async () => {
  const server = createServer((_, response) => {
    response.end(Buffer.alloc(1024 * 1024, 'x'));
  }).listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // listens on a TCP port
  const { ask, start } = await relayWith(port);
  await start();
  await expect(ask()).rejects.toThrow(failing('CONNECT_FAILED'));
});
