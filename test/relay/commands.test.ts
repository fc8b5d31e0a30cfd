import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { type Command, encodeBase64Url, encodeCommand } from '#src/protocol/index.js';
import { generateKeyPair, sha256 } from '#src/crypto/index.js';

import {
  asRecipient,
  asSender,
  errorText,
  type RawClient,
  type CommandOptions,
} from '../support/raw-client.js';
import { chunkBytes, testRelay } from '../support/test-relay.js';

const unknownId = new Uint8Array(16);

async function outcome(
  client: RawClient,
  command: Command | Uint8Array,
  options: CommandOptions = {},
): Promise<string> {
  return errorText((await client.command(command, options)).response);
}

function newChunk(change: Partial<Extract<Command, { type: 'FNEW' }>> = {}): {
  command: Extract<Command, { type: 'FNEW' }>;
  key: Uint8Array;
} {
  const sender = generateKeyPair('ed25519');
  return {
    command: {
      type: 'FNEW',
      senderKey: sender.publicKey,
      size: 65536,
      digest: new Uint8Array(32),
      recipientKeys: [generateKeyPair('ed25519').publicKey],
      ...change,
    },
    key: sender.privateKey,
  };
}

describe('a chunk', () => {
  it.each([65536, 262144, 1048576, 4194304])(
    'of %i bytes is stored as it is and given back',
    async (size) => {
      const relay = await testRelay();
      const client = await relay.client();
      const chunk = await client.create(chunkBytes(size));
      expect(await client.put(chunk)).toBe('OK');
      const path = join(relay.filesPath, encodeBase64Url(chunk.senderId));
      expect((await readFile(path)).equals(chunk.bytes)).toBe(true);
      expect(Buffer.compare((await client.get(chunk)) as Buffer, chunk.bytes)).toBe(0);
    },
  );

  it.each([
    ['ed25519', 'ed448'],
    ['ed448', 'x25519'],
    ['x25519', 'ed25519'],
  ] as const)(
    'may belong to a sender with an %s and a recipient with an %s key',
    async (sender, recipient) => {
      const relay = await testRelay();
      const client = await relay.client();
      const keys = { senderKey: generateKeyPair(sender), recipientKey: generateKeyPair(recipient) };
      const chunk = await client.create(chunkBytes(), keys);
      expect(await client.put(chunk)).toBe('OK');
      expect(Buffer.compare((await client.get(chunk)) as Buffer, chunk.bytes)).toBe(0);
      expect(await outcome(client, { type: 'FACK' }, asRecipient(chunk))).toBe('OK');
      expect(await outcome(client, { type: 'FDEL' }, asSender(chunk))).toBe('OK');
    },
  );

  it('can be read by many recipients, each with an ID of 16 bytes, and by more of them later', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    const chunk = await client.create(chunkBytes(), { recipients: 255 });
    expect(new Set(chunk.recipientIds.map(encodeBase64Url)).size).toBe(255);
    expect(chunk.recipientIds.every((id) => id.length === 16)).toBe(true);
    await client.put(chunk);
    const added = generateKeyPair('ed25519');
    const keys = [added.publicKey, added.publicKey];
    const { response, entityId } = await client.command(
      { type: 'FADD', recipientKeys: keys },
      asSender(chunk),
    );
    expect(response.type === 'RIDS' && response.recipientIds.length).toBe(2);
    expect(Buffer.from(entityId)).toEqual(Buffer.from(chunk.senderId));
    const [recipientId] = response.type === 'RIDS' ? response.recipientIds : [];
    expect(await client.get({ recipientId: recipientId!, recipientKey: added.privateKey })).toBeInstanceOf(
      Buffer,
    );
    expect(await client.get({ ...chunk, recipientId: chunk.recipientIds[254]! })).toBeInstanceOf(Buffer);
  });

  it('can be downloaded several times at once, each time with another key and nonce', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    const chunk = await client.create(chunkBytes(1048576));
    await client.put(chunk);
    const got = await Promise.all(Array.from({ length: 8 }, () => client.get(chunk)));
    for (const bytes of got) expect(Buffer.compare(bytes as Buffer, chunk.bytes)).toBe(0);
  });

  it('is gone for all after FDEL, for one recipient after FACK, and both say AUTH the second time', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    const chunk = await client.create(chunkBytes(), { recipients: 2 });
    await client.put(chunk);
    expect(relay.usedBytes()).toBe(65536);
    expect(await outcome(client, { type: 'FACK' }, asRecipient(chunk))).toBe('OK');
    expect(await outcome(client, { type: 'FACK' }, asRecipient(chunk))).toBe('AUTH');
    expect(await client.get(chunk)).toBe('AUTH');
    const other = { ...chunk, recipientId: chunk.recipientIds[1]! };
    expect(await client.get(other)).toBeInstanceOf(Buffer);
    expect(await outcome(client, { type: 'FDEL' }, asSender(chunk))).toBe('OK');
    expect(await outcome(client, { type: 'FDEL' }, asSender(chunk))).toBe('AUTH');
    expect(await client.get(other)).toBe('AUTH');
    expect(await client.put(chunk)).toBe('AUTH');
    expect(relay.usedBytes()).toBe(0);
  });

  it('that was never uploaded has no file, and can be deleted', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    const chunk = await client.create(chunkBytes());
    expect(await client.get(chunk)).toBe('NO_FILE');
    expect(await outcome(client, { type: 'FDEL' }, asSender(chunk))).toBe('OK');
  });
});

describe('FNEW', () => {
  it.each([0, 1, 65535, 131072, 4194305])('of %i bytes is refused with SIZE', async (size) => {
    const client = await (await testRelay()).client();
    const { command, key } = newChunk({ size });
    expect(await outcome(client, command, { key })).toBe('SIZE');
  });

  it('must be signed with the key inside, which is checked before password and size', async () => {
    const client = await (await testRelay({ newFiles: false })).client();
    const { command } = newChunk({ size: 1 });
    expect(await outcome(client, command, { key: generateKeyPair('ed25519').privateKey })).toBe('AUTH');
  });

  it('is refused with AUTH when new files are off', async () => {
    const client = await (await testRelay({ newFiles: false })).client();
    const { command, key } = newChunk();
    expect(await outcome(client, command, { key })).toBe('AUTH');
  });

  it('needs the password, if there is one, and ignores it otherwise', async () => {
    const closed = await (await testRelay({ createPassword: 's3cret-pass' })).client();
    const withPassword = async (client: RawClient, password?: string): Promise<string> => {
      const { command, key } = newChunk(password === undefined ? {} : { password: Buffer.from(password) });
      return await outcome(client, command, { key });
    };
    expect(await withPassword(closed)).toBe('AUTH');
    expect(await withPassword(closed, 's3cret-pas')).toBe('AUTH');
    expect(await withPassword(closed, 's3cret-pass')).toBe('SIDS');
    expect(await withPassword(await (await testRelay()).client(), 'any')).toBe('SIDS');
  });

  it('repeated makes a second chunk', async () => {
    const client = await (await testRelay()).client();
    const { command, key } = newChunk();
    const [first, second] = [await client.command(command, { key }), await client.command(command, { key })];
    expect(first.response.type).toBe('SIDS');
    expect(first.response).not.toEqual(second.response);
  });
});

describe('checks come in the order of the reference', () => {
  it('block, session, authorization length, tag, syntax, presence, entity', async () => {
    const client = await (await testRelay()).client();
    const correlationId = Buffer.from('corr');
    const entityId = unknownId;
    const sessionId = new Uint8Array(32);
    const bad = { sessionId, authorization: new Uint8Array(5), correlationId, entityId };
    const nope = Buffer.from('NOPE');

    const session = await client.command(nope, bad);
    expect([errorText(session.response), session.entityId.length]).toEqual(['SESSION', 0]);
    expect(Buffer.from(session.correlationId)).toEqual(correlationId);

    const length = await client.command(nope, { ...bad, sessionId: client.sessionId });
    expect([errorText(length.response), length.entityId.length]).toEqual(['BLOCK', 0]);
    expect(Buffer.from(length.correlationId)).toEqual(correlationId);

    const tag = await client.command(nope, { correlationId, entityId });
    expect(errorText(tag.response)).toBe('CMD UNKNOWN');
    expect(Buffer.from(tag.entityId)).toEqual(Buffer.from(entityId));
    expect(Buffer.from(tag.correlationId)).toEqual(correlationId);

    expect(await outcome(client, Buffer.from('FPUT '), {})).toBe('CMD SYNTAX');
    expect(await outcome(client, Buffer.from('FDELx'), {})).toBe('CMD UNKNOWN');
    expect(await outcome(client, { type: 'FPUT' }, {})).toBe('CMD NO_AUTH');
    expect(await outcome(client, { type: 'FPUT' }, { key: generateKeyPair('ed25519').privateKey })).toBe(
      'CMD NO_AUTH',
    );
    expect(await outcome(client, { type: 'FDEL' }, { entityId })).toBe('CMD NO_AUTH');
  });

  it.each([
    ['PING with an entity', { type: 'PING' }, { entityId: unknownId }, 'CMD HAS_AUTH'],
    ['PING with an authorization', { type: 'PING' }, { authorization: new Uint8Array(64) }, 'CMD HAS_AUTH'],
    ['FNEW without one', newChunk().command, {}, 'CMD NO_AUTH'],
    [
      'FNEW with an entity',
      newChunk().command,
      { entityId: unknownId, authorization: new Uint8Array(64) },
      'CMD HAS_AUTH',
    ],
  ] as const)('presence: %s', async (_what, command, options, expected) => {
    const client = await (await testRelay()).client();
    expect(await outcome(client, command, options)).toBe(expected);
  });

  it('trailing bytes and keys of other types are CMD SYNTAX', async () => {
    const client = await (await testRelay()).client();
    const { command, key } = newChunk();
    expect(await outcome(client, Buffer.concat([encodeCommand(command), Buffer.of(0)]), { key })).toBe(
      'CMD SYNTAX',
    );
    const get = { type: 'FGET' as const, key: generateKeyPair('ed25519').publicKey };
    expect(await outcome(client, get, { key, entityId: unknownId })).toBe('CMD SYNTAX');
  });

  it('a block that holds no single transmission is BLOCK without anything echoed', async () => {
    const client = await (await testRelay()).client();
    const good = client.block({ type: 'PING' });
    const two = Uint8Array.from(good);
    two[2] = 2;
    for (const block of [two, Buffer.alloc(16384, 0xff), Buffer.alloc(16384), Buffer.alloc(100)]) {
      const { body } = await client.request(block);
      expect(body.subarray(0, 60).toString('latin1')).toContain('ERR BLOCK');
    }
  });

  it('bytes behind the block of a command other than FPUT are ignored', async () => {
    const client = await (await testRelay()).client();
    const { response } = await client.command({ type: 'PING' }, {}, chunkBytes(300000));
    expect(response.type).toBe('PONG');
  });
});

describe('AUTH', () => {
  it.each(['ed25519', 'ed448', 'x25519'] as const)(
    'to %s authorizations of unknown IDs',
    async (algorithm) => {
      const client = await (await testRelay()).client();
      const options = {
        entityId: unknownId,
        key: generateKeyPair(algorithm).privateKey,
        correlationId: chunkBytes(24),
      };
      expect(await outcome(client, { type: 'FDEL' }, options)).toBe('AUTH');
      expect(await outcome(client, { type: 'FACK' }, options)).toBe('AUTH');
    },
  );

  it('to a sender ID in a recipient command and the reverse', async () => {
    const client = await (await testRelay()).client();
    const keys = generateKeyPair('ed25519');
    const chunk = await client.create(chunkBytes(), { senderKey: keys, recipientKey: keys });
    expect(await client.get({ recipientId: chunk.senderId, recipientKey: keys.privateKey })).toBe('AUTH');
    expect(await client.put({ ...chunk, senderId: chunk.recipientId })).toBe('AUTH');
  });

  it('to wrong keys, wrong types of keys and changed commands', async () => {
    const client = await (await testRelay()).client();
    const chunk = await client.create(chunkBytes());
    for (const algorithm of ['ed25519', 'ed448', 'x25519'] as const) {
      const wrong = { ...chunk, senderKey: generateKeyPair(algorithm).privateKey };
      expect(await outcome(client, { type: 'FDEL' }, asSender(wrong))).toBe('AUTH');
    }
    const zeroes = { ...asSender(chunk), authorization: new Uint8Array(64) };
    expect(await outcome(client, { type: 'FDEL' }, zeroes)).toBe('AUTH');
    expect(await client.put(chunk)).toBe('OK');
  });

  it('to X25519 authorizations in a session without a handshake, which has no key', async () => {
    const relay = await testRelay();
    const client = await relay.client();
    const chunk = await client.create(chunkBytes(), { senderKey: generateKeyPair('x25519') });
    const { RawClient } = await import('../support/raw-client.js');
    const old = await RawClient.connect({ port: relay.port, alpn: [] });
    old.sessionKey = client.sessionKey;
    expect(await outcome(old, { type: 'FDEL' }, asSender(chunk))).toBe('AUTH');
    await old.close();
  });

  it('to an X25519 key that agrees on nothing, without harm', async () => {
    const client = await (await testRelay()).client();
    const lowOrder = generateKeyPair('x25519').publicKey.slice();
    lowOrder.fill(0, 12);
    const sender = generateKeyPair('ed25519');
    const { response } = await client.command(
      {
        ...newChunk().command,
        senderKey: sender.publicKey,
        digest: sha256(chunkBytes()),
        recipientKeys: [lowOrder],
      },
      { key: sender.privateKey },
    );
    const recipientId = response.type === 'SIDS' ? response.recipientIds[0]! : unknownId;
    const options = {
      entityId: recipientId,
      authorization: new Uint8Array(80),
      correlationId: chunkBytes(24),
    };
    expect(await outcome(client, { type: 'FACK' }, options)).toBe('AUTH');
    const chunk = await client.create(chunkBytes());
    await client.put(chunk);
    expect(await outcome(client, { type: 'FGET', key: lowOrder }, asRecipient(chunk))).toBe('INTERNAL');
  });
});

it('closes connections whose last request is long ago, when told to', async () => {
  let now = Date.now();
  const relay = await testRelay({
    now: () => now,
    inactiveClients: { ttlSeconds: 60, checkSeconds: 1 },
  });
  const client = await relay.client();
  const closed = new Promise((resolve) => client.http2.once('close', resolve));
  now += 61_000;
  await closed;
});
