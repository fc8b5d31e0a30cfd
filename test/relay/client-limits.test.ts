import { once } from 'node:events';
import { rename, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';

import { describe, expect, it, onTestFinished } from 'vitest';

import { clientKeyOf } from '#src/relay/client-key.js';
import { RegistrationCredit } from '#src/relay/registration-credit.js';

import { asSender, errorText } from '../support/raw-client.js';
import { chunkBytes, type TestRelay, testRelay } from '../support/test-relay.js';

describe('a client is counted by', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1:2::', '2001:db8:1:2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['172.32.0.1', '172.32.0.1'],
  ])('the address %s as %s', (address, key) => {
    expect(clientKeyOf(address)).toBe(key);
  });

  it.each([
    '127.0.0.1',
    '127.8.9.10',
    '::1',
    '::ffff:127.0.0.1',
    '10.0.0.1',
    '172.16.5.1',
    '::ffff:172.31.255.255',
    '192.168.1.1',
    '169.254.1.1',
    'fd00::1',
    'fe80::1%eth0',
    undefined,
  ])('nothing at %s, behind which there may be Tor or many people', (address) => {
    expect(clientKeyOf(address)).toBeUndefined();
  });
});

/** How long it takes to be accepted: whether something is still open after the relay has answered another. */
async function isAccepted(relay: TestRelay, host: string): Promise<boolean> {
  const socket = connect({ port: relay.port, host: '127.0.0.1', localAddress: host });
  onTestFinished(() => {
    socket.destroy();
  });
  socket.on('error', () => undefined);
  const closed = once(socket, 'close').then(() => false);
  socket.resume();
  await once(socket, 'connect');
  const client = await relay.client();
  const accepted = await Promise.race([closed, client.command({ type: 'PING' }).then(() => true)]);
  await client.close();
  return accepted;
}

it('one address has only so many connections, others and those that are not counted have theirs', async () => {
  const relay = await testRelay({
    limits: { connectionsPerAddress: 3 },
    clientKey: (address) => (address === '127.0.0.1' ? undefined : address),
  });
  for (let round = 0; round < 3; round++) expect(await isAccepted(relay, '127.0.0.2')).toBe(true);
  expect(await isAccepted(relay, '127.0.0.2')).toBe(false);
  expect(await isAccepted(relay, '127.0.0.3')).toBe(true);
  for (let round = 0; round < 5; round++) expect(await isAccepted(relay, '127.0.0.1')).toBe(true);
});

it('one address registers only so many chunks without uploading them, and gets each back with its upload', async () => {
  const relay = await testRelay({ limits: { registrationsPerAddress: 3 }, clientKey: (address) => address });
  const [client, other] = [await relay.client(), await relay.client()];
  const chunks = [];
  for (let number = 0; number < 3; number++) chunks.push(await client.create(chunkBytes()));
  await expect(client.create(chunkBytes())).rejects.toThrow('QUOTA');
  await expect(other.create(chunkBytes())).rejects.toThrow('QUOTA');
  expect(await client.put(chunks[0]!)).toBe('OK');
  // A repetition is no second upload.
  expect(await client.put(chunks[0]!)).toBe('OK');
  await other.create(chunkBytes());
  await expect(client.create(chunkBytes())).rejects.toThrow('QUOTA');
});

it('a store log in whose place another file is takes nothing, and a registration that fails costs none', async () => {
  const relay = await testRelay({ limits: { registrationsPerAddress: 2 }, clientKey: (address) => address });
  const client = await relay.client();
  const chunk = await client.create(chunkBytes());
  await rename(relay.storeLogPath, `${relay.storeLogPath}.1`);
  // As programs that rotate logs do.
  await writeFile(relay.storeLogPath, '');
  for (let round = 0; round < 3; round++)
    await expect(client.create(chunkBytes())).rejects.toThrow('INTERNAL');
  expect(await client.put(chunk)).toBe('INTERNAL');
  expect(relay.problems).toEqual([
    expect.stringMatching(/^Another file has taken the place of the store log .*: move it away\.$/),
  ]);
  expect(errorText((await client.command({ type: 'FDEL' }, asSender(chunk))).response)).toBe('FILE_IO');
  await rm(relay.storeLogPath);
  expect(await client.put(chunk)).toBe('OK');
  await client.create(chunkBytes());
});

describe('the credit of registrations', () => {
  it('comes back in the life of a chunk, and never exceeds its bound', () => {
    let now = 0;
    const credit = new RegistrationCredit(10, 1000, () => now);
    const taken = (): number => {
      let count = 0;
      while (credit.take('a')) count += 1;
      return count;
    };
    expect(taken()).toBe(10);
    now = 500;
    expect(taken()).toBe(5);
    now = -1e6;
    expect(taken()).toBe(0);
    now = 1e6;
    credit.giveBack('a');
    expect(taken()).toBe(10);
    expect(credit.take('b')).toBe(true);
    expect(credit.take(undefined)).toBe(true);
  });

  it('forgets the client that has been silent longest when there are too many', () => {
    const credit = new RegistrationCredit(1, 1000, () => 0);
    expect(credit.take('first')).toBe(true);
    expect(credit.take('first')).toBe(false);
    for (let client = 0; client < 100_000; client++) credit.take(String(client));
    expect(credit.take('first')).toBe(true);
    expect(credit.take('99999')).toBe(false);
  });
});
