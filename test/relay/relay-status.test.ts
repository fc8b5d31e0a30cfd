import { join } from 'node:path';

import { expect, it, onTestFinished } from 'vitest';

import { askRelay, initRelay, loadRelayConfig } from '#src/relay/index.js';
import { lockRelayFiles } from '#src/relay/instance-lock.js';

import { failing } from '../crypto/expected-failure.js';
import { freePort } from '../support/relay-process.js';
import { temporaryFolder } from '../support/temporary-folder.js';

it('a relay whose ports are not open yet may be starting still', async () => {
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
  const port = String(await freePort());
  const config = await loadRelayConfig(folders, { XFTP_TRANSPORT_METRICS_PORT: port });
  expect(await askRelay(config)).toMatchObject({ running: false });
  // A relay takes the lock before it reads its log, and opens its ports after that.
  const unlock = await lockRelayFiles(filesPath, undefined, 'relay');
  onTestFinished(unlock);
  const asking = askRelay(config);
  await expect(asking).rejects.toThrow(failing('CONNECT_FAILED'));
  await expect(asking).rejects.toThrow(
    `tells nothing on 127.0.0.1, port ${port}: is it still starting, which a large store log makes long, or was the INI`,
  );
});
