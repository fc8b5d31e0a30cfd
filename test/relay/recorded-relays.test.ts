import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { encodeBase64Url, encodeUtf8, parseServerAddress } from '#src/protocol/index.js';
import { publicKeyOf, sha256 } from '#src/crypto/index.js';
import { parseRelayConfig, readCredentials } from '#src/relay/index.js';

import { RawClient } from '../support/raw-client.js';
import { recordedRelay, replicasOn } from '../support/recorded-relay.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { type TestRelay, testRelay } from '../support/test-relay.js';

/** The recordings are of November 2026; they must still be served in years. */
const CENTURY_SECONDS = 100 * 365 * 86_400;

async function connect(relay: TestRelay): Promise<RawClient> {
  const client = await RawClient.open({ port: relay.port, fingerprint: relay.fingerprint });
  onTestFinished(() => client.close());
  return client;
}

describe('the recorded Ed448 relay', () => {
  async function start(): Promise<TestRelay> {
    const { home, storeLogPath } = await recordedRelay(5443);
    const config = parseRelayConfig(
      await readFile(join(home, 'etc/file-server.ini'), 'utf8'),
      'file-server.ini',
    );
    expect(config).toMatchObject({
      port: 5443,
      storeLog: true,
      host: 'relay.example',
      storageQuota: 10 * 2 ** 30,
    });
    return await testRelay({
      credentials: await readCredentials({ config: join(home, 'etc'), log: join(home, 'var') }),
      filesPath: join(home, 'srv'),
      storeLogPath,
      chunkLifeSeconds: CENTURY_SECONDS,
    });
  }

  it('starts with the same identity and the same storage in use', async () => {
    const relay = await start();
    expect(encodeBase64Url(relay.fingerprint)).toBe('Le4FJsN9topz7qJhBxtT3tQ_2oHeNWbFhrNUSzSjFG0=');
    expect(parseServerAddress(relay.address).fingerprint).toEqual(relay.fingerprint);
    expect(relay.problems).toEqual([]);
    expect(relay.usedBytes()).toBe(2031616);
  });

  it.each([
    'note.txt',
    'empty.bin',
    'one.bin',
    'photo of café.jpg',
    'seventy-thousand.bin',
    'three-hundred-kb.bin',
    'one-point-two-mb.bin',
  ])('serves the chunks of %s to both recipients', async (name) => {
    const relay = await start();
    const client = await connect(relay);
    for (const recipient of ['rcv1', 'rcv2']) {
      const replicas = await replicasOn(`${name}.xftp/${recipient}.xftp`, encodeBase64Url(relay.fingerprint));
      expect(replicas.length).toBeGreaterThan(0);
      for (const { id, key, digest } of replicas) {
        const bytes = await client.get({ recipientId: id, recipientKey: key });
        expect(typeof bytes === 'string' ? bytes : sha256(bytes)).toEqual(digest);
      }
    }
  });

  it.each([
    ['acknowledged.txt', 'rcv1', 'AUTH'],
    ['deleted.txt', 'rcv1', 'AUTH'],
    ['blocked.txt', 'rcv1', 'BLOCKED reason=spam,notice={"ttl":3600}'],
  ])('answers for %s what the reference did', async (name, recipient, expected) => {
    const relay = await start();
    const client = await connect(relay);
    const [replica] = await replicasOn(`${name}.xftp/${recipient}.xftp`, encodeBase64Url(relay.fingerprint));
    expect(await client.get({ recipientId: replica!.id, recipientKey: replica!.key })).toBe(expected);
  });
});

describe('the recorded Ed25519 relay', () => {
  it('starts with the same identity and serves its chunk (its log made again from the descriptions)', async () => {
    const home = await temporaryFolder();
    await cp('test/vectors/relay-ed25519', home, { recursive: true });
    const fingerprint = 'KhcOPJgMUntQEKwIkNJ4FFjyGYSYnmJlhgj5-ZbC3Z8=';
    const name = 'one-point-two-mb.bin.xftp';
    const [sender] = await replicasOn(`${name}/snd.xftp.private`, fingerprint);
    const [recipient] = await replicasOn(`${name}/rcv1.xftp`, fingerprint);
    const id = encodeBase64Url(sender!.id);
    const text = [
      `FNEW ${id} ${encodeBase64Url(publicKeyOf(sender!.key))} 1048576 ${encodeBase64Url(sender!.digest)} 1795316400 active`,
      `FADD ${id} ${encodeBase64Url(recipient!.id)}:${encodeBase64Url(publicKeyOf(recipient!.key))}`,
      `FPUT ${id} ${encodeBase64Url(encodeUtf8(join(home, 'files', id)))}`,
    ];
    const storeLogPath = join(home, 'file-server-store.log');
    await writeFile(storeLogPath, text.map((line) => `${line}\n`).join(''));
    const config = parseRelayConfig(
      await readFile(join(home, 'cfg/file-server.ini'), 'utf8'),
      'file-server.ini',
    );
    expect(config.createPassword).toBe('s3cret-pass');
    const relay = await testRelay({
      credentials: await readCredentials({ config: join(home, 'cfg'), log: home }),
      filesPath: join(home, 'files'),
      storeLogPath,
      chunkLifeSeconds: CENTURY_SECONDS,
      createPassword: 's3cret-pass',
    });
    expect(relay.problems).toEqual([]);
    expect(encodeBase64Url(relay.fingerprint)).toBe(fingerprint);
    const client = await connect(relay);
    const bytes = await client.get({ recipientId: recipient!.id, recipientKey: recipient!.key });
    expect(typeof bytes === 'string' ? bytes : sha256(bytes)).toEqual(recipient!.digest);
  });
});
