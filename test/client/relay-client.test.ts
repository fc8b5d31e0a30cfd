import { describe, expect, it, onTestFinished } from 'vitest';

import { RelayClient } from '#src/client/index.js';
import {
  generateKeyPair,
  openTagLast,
  publicKeyOf,
  randomBytes,
  sealTagLast,
  sha256,
  sharedSecret,
  verify,
} from '#src/crypto/index.js';
import {
  bytesEqual,
  concatBytes,
  encodeBareError,
  encodeUtf8,
  type FailureCode,
  pad,
  parseWireError,
  type Response,
} from '#src/protocol/index.js';
import { DEFAULT_DEADLINES, openSession, SessionPool } from '#src/transport/index.js';
import { failing } from '../crypto/expected-failure.js';
import { bodyWatch } from '../transport/channel-samples.js';
import { type FakeRelay, type FakeReply, type FakeRequest, startFakeRelay } from '../support/fake-relay.js';

const CHUNK = 65536;

/** A client, whose connections end with the running test. */
function newClient(): RelayClient {
  const pool = new SessionPool({
    open: (server, signal) => openSession(server, { deadlines: DEFAULT_DEADLINES, signal }),
    sessionsPerServer: 4,
    idleMs: 60_000,
  });
  onTestFinished(() => {
    pool.close();
  });
  return new RelayClient(pool);
}

const senderKey = generateKeyPair('ed25519');
const recipientKeys = [generateKeyPair('ed25519').publicKey, generateKeyPair('ed25519').publicKey];
const access = { id: randomBytes(16), privateKey: senderKey.privateKey };
const chunk = { senderKey, size: CHUNK, digest: randomBytes(32), recipientKeys };

/** Every method of the client, by what it wants. */
const CALLS = {
  create: (client: RelayClient, { server }: FakeRelay) => client.createChunk(server, chunk),
  upload: (client: RelayClient, { server }: FakeRelay) =>
    client.uploadChunk(server, access, { bytes: new Uint8Array(10), onBodyReleased: () => undefined }),
  download: (client: RelayClient, { server }: FakeRelay) =>
    client.downloadChunk(server, access, new Uint8Array(CHUNK + 16)),
  acknowledge: (client: RelayClient, { server }: FakeRelay) => client.acknowledgeChunk(server, access),
  add: (client: RelayClient, { server }: FakeRelay) => client.addRecipients(server, access, recipientKeys),
  delete: (client: RelayClient, { server }: FakeRelay) => client.deleteChunk(server, access),
  ping: (client: RelayClient, { server }: FakeRelay) => client.ping(server),
} as const;
type CallName = keyof typeof CALLS;
const CALL_NAMES = Object.keys(CALLS) as CallName[];

/** What is expected of a call whose answer is given. */
async function expectFailure(name: CallName, reply: FakeReply, code: FailureCode): Promise<void> {
  const relay = await startFakeRelay({ onCommand: () => reply });
  await expect(CALLS[name](newClient(), relay)).rejects.toThrow(failing(code));
}

const RESPONSES: Record<CallName, Response> = {
  create: { type: 'SIDS', senderId: randomBytes(16), recipientIds: [randomBytes(16), randomBytes(16)] },
  upload: { type: 'OK' },
  download: { type: 'FILE', key: generateKeyPair('x25519').publicKey, nonce: randomBytes(24) },
  acknowledge: { type: 'OK' },
  add: { type: 'RIDS', recipientIds: [randomBytes(16), randomBytes(16)] },
  delete: { type: 'OK' },
  ping: { type: 'PONG' },
};

describe('a command', () => {
  it.each(CALL_NAMES.filter((name) => name !== 'ping'))(
    'to %s is signed over its exact bytes',
    async (name) => {
      const relay = await startFakeRelay({
        onCommand: () => ({
          response: RESPONSES[name],
          body: new Uint8Array(name === 'download' ? CHUNK + 16 : 0),
        }),
      });
      await CALLS[name](newClient(), relay);
      const { transmission } = only(relay.requests);
      expect(verify(senderKey.publicKey, transmission.authorized, transmission.authorization)).toBe(true);
      expect(transmission.correlationId).toHaveLength(0);
      expect(bytesEqual(transmission.entityId, name === 'create' ? new Uint8Array() : access.id)).toBe(true);
    },
  );

  it('to ping has neither signature nor entity', async () => {
    const relay = await startFakeRelay();
    await newClient().ping(relay.server);
    const { transmission, command } = only(relay.requests);
    expect(command).toStrictEqual({ type: 'PING' });
    expect([transmission.authorization.length, transmission.entityId.length]).toStrictEqual([0, 0]);
  });

  it('to create carries the chunk and the password of the address, and gives the IDs', async () => {
    const relay = await startFakeRelay({ onCommand: () => ({ response: RESPONSES.create }) });
    const server = { ...relay.server, password: 's3cret-pass' };
    const ids = await newClient().createChunk(server, chunk);
    expect(ids).toMatchObject({
      type: 'SIDS',
      senderId: expect.any(Uint8Array),
      recipientIds: { length: 2 },
    });
    expect(only(relay.requests).command).toStrictEqual({
      type: 'FNEW',
      senderKey: senderKey.publicKey,
      size: CHUNK,
      digest: chunk.digest,
      recipientKeys,
      password: encodeUtf8('s3cret-pass'),
    });
  });

  it('to create that is stopped still gives the IDs if the answer comes in time', async () => {
    const stop = new AbortController();
    const relay = await startFakeRelay({
      onCommand: () => {
        stop.abort();
        return { response: RESPONSES.create };
      },
    });
    const options = { signal: stop.signal, answerMs: 5000 };
    const ids = await newClient().createChunk(relay.server, chunk, options);
    expect(ids.recipientIds).toHaveLength(2);
    await expect(newClient().createChunk(relay.server, chunk, options)).rejects.toThrow(failing('CANCELLED'));
    expect(relay.requests).toHaveLength(1);
  });

  it('to create that is stopped gives up when the answer takes too long', async () => {
    const stop = new AbortController();
    const relay = await startFakeRelay({
      onCommand: () => {
        stop.abort();
        return 'silence';
      },
    });
    const options = { signal: stop.signal, answerMs: 50 };
    await expect(newClient().createChunk(relay.server, chunk, options)).rejects.toThrow(failing('CANCELLED'));
  });

  it('to upload carries the bytes, and releases them once', async () => {
    const relay = await startFakeRelay({ onCommand: () => ({ response: { type: 'OK' } }) });
    const bytes = randomBytes(CHUNK);
    let released = 0;
    const sent: number[] = [];
    await newClient().uploadChunk(
      relay.server,
      access,
      { bytes, onBodyReleased: () => (released += 1) },
      { onSent: (count) => sent.push(count) },
    );
    expect(bytesEqual(only(relay.requests).body, bytes)).toBe(true);
    expect(sent.at(-1)).toBe(CHUNK);
    expect(released).toBeLessThanOrEqual(1);
  });

  it('to download gives what opens the box', async () => {
    const content = randomBytes(CHUNK);
    const theirs = generateKeyPair('x25519');
    const nonce = randomBytes(24);
    const relay = await startFakeRelay({
      onCommand: ({ command }) => {
        const secret = sharedSecret(
          theirs.privateKey,
          command.type === 'FGET' ? command.key : new Uint8Array(),
        );
        return {
          response: { type: 'FILE', key: theirs.publicKey, nonce },
          body: sealTagLast(secret, nonce, content),
        };
      },
    });
    const into = new Uint8Array(CHUNK + 16);
    const box = await newClient().downloadChunk(relay.server, access, into);
    const opened = openTagLast(box.secret, box.nonce, into);
    expect(opened !== undefined && bytesEqual(sha256(opened), sha256(content))).toBe(true);
  });

  it('to download has a fresh key each time', async () => {
    const relay = await startFakeRelay({
      onCommand: () => ({ response: RESPONSES.download, body: new Uint8Array(CHUNK + 16) }),
    });
    const client = newClient();
    for (let time = 0; time < 3; time++) await CALLS.download(client, relay);
    const keys = relay.requests.map(({ command }) => (command.type === 'FGET' ? command.key : undefined));
    expect(new Set(keys.map((key) => Buffer.from(key ?? []).toString('hex'))).size).toBe(3);
    expect(keys.some((key) => key !== undefined && bytesEqual(key, publicKeyOf(access.privateKey)))).toBe(
      false,
    );
  });
});

/** What every error of section 4.5 means to someone who creates, uploads, downloads or manages. */
const MEANINGS: readonly (readonly [string, FailureCode, FailureCode, FailureCode, FailureCode])[] = [
  ['BLOCK', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY'],
  ['SESSION', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY'],
  ['HANDSHAKE', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY'],
  ['CMD UNKNOWN', 'RELAY_ERROR', 'RELAY_ERROR', 'RELAY_ERROR', 'RELAY_ERROR'],
  ['CMD SYNTAX', 'RELAY_ERROR', 'RELAY_ERROR', 'RELAY_ERROR', 'RELAY_ERROR'],
  ['CMD PROHIBITED', 'RELAY_ERROR', 'RELAY_ERROR', 'RELAY_ERROR', 'RELAY_ERROR'],
  ['CMD NO_AUTH', 'RELAY_ERROR', 'RELAY_ERROR', 'RELAY_ERROR', 'RELAY_ERROR'],
  ['CMD HAS_AUTH', 'RELAY_ERROR', 'RELAY_ERROR', 'RELAY_ERROR', 'RELAY_ERROR'],
  ['CMD NO_ENTITY', 'RELAY_ERROR', 'RELAY_ERROR', 'RELAY_ERROR', 'RELAY_ERROR'],
  ['AUTH', 'RELAY_REFUSED', 'CHUNK_GONE', 'CHUNK_GONE', 'CHUNK_GONE'],
  ['BLOCKED reason=spam', 'CHUNK_BLOCKED', 'CHUNK_BLOCKED', 'CHUNK_BLOCKED', 'CHUNK_BLOCKED'],
  [
    'BLOCKED reason=content,notice={"ttl":60}',
    'CHUNK_BLOCKED',
    'CHUNK_BLOCKED',
    'CHUNK_BLOCKED',
    'CHUNK_BLOCKED',
  ],
  ['SIZE', 'RELAY_SIZE', 'CHUNK_SIZE', 'CHUNK_SIZE', 'CHUNK_SIZE'],
  ['QUOTA', 'RELAY_FULL', 'RELAY_FULL', 'RELAY_FULL', 'RELAY_FULL'],
  ['DIGEST', 'CHUNK_DIGEST', 'CHUNK_DIGEST', 'CHUNK_DIGEST', 'CHUNK_DIGEST'],
  ['CRYPTO', 'CHUNK_TAG', 'CHUNK_TAG', 'CHUNK_TAG', 'CHUNK_TAG'],
  ['NO_FILE', 'CHUNK_MISSING', 'CHUNK_MISSING', 'CHUNK_MISSING', 'CHUNK_MISSING'],
  ['HAS_FILE', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY'],
  ['FILE_IO', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY'],
  ['TIMEOUT', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY'],
  ['INTERNAL', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY'],
  ['DUPLICATE_', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY', 'RELAY_TEMPORARY'],
  ['SOMETHING NEW', 'RELAY_ERROR', 'RELAY_ERROR', 'RELAY_ERROR', 'RELAY_ERROR'],
];

describe("a relay's error", () => {
  it.each(MEANINGS)(
    '%s has its meaning for every command',
    async (text, create, upload, download, manage) => {
      const error = parseWireError(text);
      const relay = await startFakeRelay({ onCommand: () => ({ response: { type: 'ERR', error } }) });
      const client = newClient();
      const expected = {
        create,
        upload,
        download,
        acknowledge: download,
        add: manage,
        delete: manage,
        ping: manage,
      };
      for (const name of CALL_NAMES) {
        const failure = await CALLS[name](client, relay).catch((reason: unknown) => reason);
        expect([name, failure]).toStrictEqual([name, failing(expected[name])]);
        expect(failure).toMatchObject({
          wire: text,
          message: expect.stringMatching(/^The relay 127\.0\.0\.1:\d+ .*[.)]$/) as unknown,
        });
      }
    },
  );

  it('without an entity, or of another session, is understood: it could not read the command', async () => {
    const response = { type: 'ERR', error: { type: 'AUTH' } } as const;
    await expectFailure('download', { response, entityId: new Uint8Array() }, 'CHUNK_GONE');
    await expectFailure('download', { response, sessionId: randomBytes(32) }, 'CHUNK_GONE');
  });

  it('may be bare', async () => {
    await expectFailure('download', { raw: encodeBareError({ type: 'SESSION' }) }, 'RELAY_TEMPORARY');
  });

  it('that the file is blocked is understood for reasons that are not known here', async () => {
    const error = { type: 'OTHER', text: 'BLOCKED reason=other,notice={}' } as const;
    await expectFailure('download', { response: { type: 'ERR', error } }, 'CHUNK_BLOCKED');
  });

  it('of any text spoils no terminal and no log', async () => {
    const error = { type: 'OTHER', text: `\u001b[31m\n${'x'.repeat(5000)}` } as const;
    const relay = await startFakeRelay({ onCommand: () => ({ response: { type: 'ERR', error } }) });
    const failure = await newClient()
      .ping(relay.server)
      .catch((reason: unknown) => reason as Error);
    // eslint-disable-next-line no-control-regex -- control characters are what must not be there
    expect(failure?.message).not.toMatch(/[\u0000-\u001f]/);
    expect(failure?.message.length).toBeLessThan(300);
  });
});

describe('an answer that makes no sense', () => {
  it.each(CALL_NAMES)(
    'is RELAY_PROTOCOL when it is about something else than the request to %s',
    async (name) => {
      await expectFailure(name, { response: RESPONSES[name], entityId: randomBytes(16) }, 'RELAY_PROTOCOL');
    },
  );

  it.each(CALL_NAMES)('is RELAY_PROTOCOL when it has no entity, or one too much, for %s', async (name) => {
    const named = name === 'create' || name === 'ping';
    const entityId = named ? access.id : new Uint8Array();
    await expectFailure(name, { response: RESPONSES[name], entityId }, 'RELAY_PROTOCOL');
  });

  it.each(CALL_NAMES)(
    'is RELAY_PROTOCOL when it is of another session than the request to %s',
    async (name) => {
      await expectFailure(name, { response: RESPONSES[name], sessionId: randomBytes(32) }, 'RELAY_PROTOCOL');
      await expectFailure(name, { response: RESPONSES[name], sessionId: new Uint8Array() }, 'RELAY_PROTOCOL');
    },
  );

  it.each(CALL_NAMES)('is RELAY_PROTOCOL when it answers another command than to %s', async (name) => {
    const other: Response = name === 'create' || name === 'ping' ? { type: 'OK' } : RESPONSES.create;
    await expectFailure(name, { response: other }, 'RELAY_PROTOCOL');
  });

  it.each(['create', 'add'] as const)(
    'is RELAY_PROTOCOL when it has a wrong number of IDs for %s',
    async (name) => {
      for (const count of [1, 3]) {
        const recipientIds = Array.from({ length: count }, () => randomBytes(16));
        const response: Response =
          name === 'create'
            ? { type: 'SIDS', senderId: randomBytes(16), recipientIds }
            : { type: 'RIDS', recipientIds };
        await expectFailure(name, { response }, 'RELAY_PROTOCOL');
      }
    },
  );

  it.each([
    ['empty', new Uint8Array()],
    ['half a block', new Uint8Array(8192)],
    ['a block of zeroes', new Uint8Array(16384)],
    ['a block whose length is too large', new Uint8Array(16384).fill(0xff)],
    ['a block of two transmissions', pad(Uint8Array.of(2, 0, 1, 0, 0, 1, 0))],
    ['an unknown response', pad(concatBytes(Uint8Array.of(1, 0, 9, 0, 0, 0, 0), encodeUtf8('WHAT?')))],
  ])('is RELAY_PROTOCOL when it is %s', async (_, raw) => {
    await expectFailure('ping', { raw }, 'RELAY_PROTOCOL');
    await expectFailure('download', { raw }, 'RELAY_PROTOCOL');
  });

  it('to a download is RELAY_PROTOCOL when its key is not X25519', async () => {
    const response: Response = { type: 'FILE', key: senderKey.publicKey, nonce: randomBytes(24) };
    await expectFailure('download', { response, body: new Uint8Array(CHUNK + 16) }, 'RELAY_PROTOCOL');
  });
});

describe('a download of another length', () => {
  it.each([0, 1, CHUNK, CHUNK + 15])('is CHUNK_SIZE with %i bytes too few', async (length) => {
    await expectFailure(
      'download',
      { response: RESPONSES.download, body: new Uint8Array(length) },
      'CHUNK_SIZE',
    );
  });

  it.each([1, 1000, CHUNK])('is CHUNK_SIZE with %i bytes too many', async (more) => {
    const body = new Uint8Array(CHUNK + 16 + more);
    await expectFailure('download', { response: RESPONSES.download, body }, 'CHUNK_SIZE');
  });

  it('is CHUNK_GONE, not CHUNK_SIZE, when an error comes without a body', async () => {
    await expectFailure('download', { response: { type: 'ERR', error: { type: 'AUTH' } } }, 'CHUNK_GONE');
  });
});

describe('the bytes of an upload are released once', () => {
  it.each<[string, typeof access, { signal?: AbortSignal }]>([
    ['never starts', access, { signal: AbortSignal.abort() }],
    ['cannot be signed', { ...access, privateKey: new Uint8Array(48) }, {}],
    ['is answered with an error', access, {}],
  ])('when it %s', async (_, sender, options) => {
    const error = { type: 'QUOTA' } as const;
    const relay = await startFakeRelay({ onCommand: () => ({ response: { type: 'ERR', error } }) });
    const watch = bodyWatch();
    const body = { bytes: new Uint8Array(CHUNK), onBodyReleased: watch.onBodyReleased };
    await expect(newClient().uploadChunk(relay.server, sender, body, options)).rejects.toThrow();
    // A failed upload ends its session, and with it whatever held on to the bytes.
    await relay.allClosed();
    expect(watch.times()).toBe(1);
  });
});

function only(requests: readonly FakeRequest[]): FakeRequest {
  const [request, ...others] = requests;
  if (request === undefined || others.length > 0) throw new Error('There was not exactly one command.');
  return request;
}
