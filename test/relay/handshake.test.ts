import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';

import { expect, it, onTestFinished } from 'vitest';

import {
  decodeBareError,
  decodeServerHello,
  encodeClientHandshake,
  formatWireError,
  SUPPORTED_VERSIONS,
} from '#src/protocol/index.js';
import { createCredentials } from '#src/relay/index.js';
import { readCertificate, verifySessionKey } from '#src/crypto/index.js';

import { errorText, openTls, RawClient, type RawOptions, readReply } from '../support/raw-client.js';
import { testRelay } from '../support/test-relay.js';

const recorded = (name: string): Buffer => readFileSync(`test/vectors/handshake/${name}.block`);

async function connectRaw(options: RawOptions): Promise<RawClient> {
  const client = await RawClient.connect(options);
  onTestFinished(() => client.close());
  return client;
}

it.each(['ed448', 'ed25519'] as const)(
  'says hello as the reference does with an %s identity',
  async (algorithm) => {
    const credentials = createCredentials(algorithm, 'localhost');
    const relay = await testRelay({ credentials });
    const client = await connectRaw({ port: relay.port });
    const { status, body } = await client.request();
    const hello = decodeServerHello(new Uint8Array(body));
    const model = decodeServerHello(recorded(`${algorithm}-server-hello`));
    expect(status).toBe(200);
    expect(body.length).toBe(16384);
    expect(hello.versions).toEqual(SUPPORTED_VERSIONS);
    expect(hello.versions).toEqual(model.versions);
    expect(hello.sessionId).toEqual(client.sessionId);
    expect(hello.sessionId.length).toBe(32);
    expect(hello.certificates).toEqual([credentials.online.certificate, credentials.identityCertificate]);
    expect(hello.signedKey.length).toBe(model.signedKey.length);
    expect(hello.webProof.length).toBe(0);
    const leaf = readCertificate(credentials.online.certificate);
    expect(verifySessionKey(leaf.publicKey, hello.signedKey).length).toBe(44);
    const chain = client.socket.getPeerCertificate(true);
    expect(Uint8Array.from(chain.raw)).toEqual(credentials.online.certificate);
    expect(Uint8Array.from(chain.issuerCertificate.raw)).toEqual(credentials.identityCertificate);
  },
);

it('keeps the session key of a connection when the handshake has to be repeated', async () => {
  const relay = await testRelay();
  const client = await connectRaw({ port: relay.port });
  await client.request();
  const wrong = await client.request(encodeClientHandshake({ version: 3, keyHash: new Uint8Array(32) }));
  expect(wrong.body).toEqual(recorded('ed448-wrong-keyhash-reply'));
  const right = await client.request(encodeClientHandshake({ version: 3, keyHash: relay.fingerprint }));
  expect(right).toEqual({ status: 200, body: Buffer.alloc(0) });
});

it.each([
  ['a version below the range', encodeClientHandshake({ version: 0, keyHash: new Uint8Array(32) })],
  ['a body shorter than a block', Buffer.alloc(64)],
  ['a block that cannot be unpadded', Buffer.alloc(16384, 0xff)],
  ['no body at all', undefined],
])('answers HANDSHAKE to %s', async (_what, body) => {
  const relay = await testRelay();
  const client = await connectRaw({ port: relay.port });
  await client.request();
  const reply = await (body === undefined ? client.request() : client.request(body));
  expect(formatWireError(decodeBareError(reply.body)!)).toBe('HANDSHAKE');
});

it('refuses a version above the range and takes every version within it', async () => {
  const relay = await testRelay();
  for (const version of [1, 2, 3]) {
    const client = await relay.client(version);
    expect(errorText((await client.command({ type: 'PING' })).response)).toBe('PONG');
  }
  await expect(relay.client(4)).rejects.toThrow('handshake refused: HANDSHAKE');
});

it('answers HANDSHAKE to a hello with a body on a native connection', async () => {
  const relay = await testRelay();
  const client = await connectRaw({ port: relay.port });
  const reply = await client.request(Buffer.alloc(16384));
  expect(formatWireError(decodeBareError(reply.body)!)).toBe('HANDSHAKE');
});

it('answers PING, an unknown command and a short block with the recorded bytes but for the session', async () => {
  const relay = await testRelay();
  const client = await relay.client();
  const withSession = (name: string): Buffer => {
    const block = recorded(name);
    const { sessionId } = JSON.parse(readFileSync('test/vectors/handshake/ed448.json', 'utf8')) as {
      sessionId: string;
    };
    const at = block.indexOf(Buffer.from(sessionId, 'hex'));
    if (at >= 0) block.set(client.sessionId, at);
    return block;
  };
  const ping = withSession('ed448-ping');
  expect((await client.request(ping)).body).toEqual(withSession('ed448-pong'));
  const short = await client.request(Buffer.alloc(64));
  expect(short.body).toEqual(withSession('ed448-short-block-reply'));
  const model = readReply(recorded('ed448-unknown-command-reply'));
  const unknown = await client.command(Buffer.from('NOPE'), model);
  expect(errorText(unknown.response)).toBe(errorText(model.response));
});

it('speaks HTTP/2 with a handshake to clients that offer http/1.1', async () => {
  const relay = await testRelay();
  const client = await connectRaw({ port: relay.port, alpn: ['http/1.1'] });
  expect(client.socket.alpnProtocol).toBe('http/1.1');
  const model = decodeServerHello(recorded('http11-reply'));
  expect(decodeServerHello((await client.request()).body).versions).toEqual(model.versions);
});

it('takes commands at once, in version 1, from clients without ALPN', async () => {
  const relay = await testRelay();
  const client = await connectRaw({ port: relay.port, alpn: [] });
  const { response } = await client.command({ type: 'PING' });
  expect(response).toEqual(readReply(recorded('noalpn-reply')).response);
});

it('answers every request over h2 with nothing, as there is no web certificate', async () => {
  const relay = await testRelay();
  const client = await connectRaw({ port: relay.port, alpn: ['h2', 'http/1.1'], servername: 'localhost' });
  expect(client.socket.alpnProtocol).toBe('h2');
  for (const body of [[], [Buffer.alloc(16384)], [Buffer.alloc(5_000_000 - 900_000)]])
    expect(await client.request(...body)).toEqual({ status: 200, body: Buffer.alloc(0) });
});

it('prefers xftp/1 whatever the order of the offer, and ends the handshake when nothing fits', async () => {
  const relay = await testRelay();
  const client = await connectRaw({ port: relay.port, alpn: ['http/1.1', 'h2', 'xftp/1'] });
  expect(client.socket.alpnProtocol).toBe('xftp/1');
  await expect(openTls({ port: relay.port, alpn: ['smp/1'] })).rejects.toThrow(/no application protocol/i);
});

it('binds sessions of TLS 1.2 too, whose identifier has 12 bytes', async () => {
  const relay = await testRelay();
  const client = await RawClient.open({
    port: relay.port,
    fingerprint: relay.fingerprint,
    maxVersion: 'TLSv1.2',
  });
  onTestFinished(() => client.close());
  expect(client.socket.getProtocol()).toBe('TLSv1.2');
  expect(client.hello?.sessionId.length).toBe(12);
  expect(errorText((await client.command({ type: 'PING' })).response)).toBe('PONG');
});

it('never resumes a TLS session', async () => {
  const relay = await testRelay();
  const first = await openTls({ port: relay.port, maxVersion: 'TLSv1.2' });
  const session = first.getSession();
  first.destroy();
  const second = connect({
    port: relay.port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ALPNProtocols: ['xftp/1'],
    ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305',
    maxVersion: 'TLSv1.2',
    ...(session === undefined ? {} : { session }),
  });
  onTestFinished(() => {
    second.destroy();
  });
  await new Promise((resolve, reject) => second.once('secureConnect', resolve).once('error', reject));
  expect(second.isSessionReused()).toBe(false);
});
