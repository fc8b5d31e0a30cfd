import { readFileSync } from 'node:fs';

import { describe, expect, it, onTestFinished } from 'vitest';

import {
  decodeBareError,
  decodeServerHello,
  encodeClientHandshake,
  encodeWebHello,
  formatWireError,
} from '#src/protocol/index.js';
import { createCredentials, readCredentials, type RelayOptions } from '#src/relay/index.js';
import { acceptHello } from '#src/relay/handshake-state.js';

import {
  AS_BROWSER,
  checkHello,
  connectBrowser,
  fingerprint256,
  rsaCertificate,
  openBrowser,
  shakeHands,
  webCertificate,
  webRequest,
} from '../support/browser-client.js';
import { errorText, openTls, RawClient } from '../support/raw-client.js';
import { chunkBytes, type TestRelay, testRelay } from '../support/test-relay.js';

/** What the reference answered to a browser. */
interface RecordedWeb {
  readonly challenge: string;
  readonly sessionId: string;
  readonly alpn: string;
  readonly helloHeaders: object;
  readonly optionsHeaders: object;
  readonly handshakeReplyHeaders: object;
}

const recorded = JSON.parse(readFileSync('test/vectors/handshake/web.json', 'utf8')) as RecordedWeb;
const recordedBlock = (name: string): Buffer => readFileSync(`test/vectors/handshake/${name}.block`);
const challenge = Buffer.from(recorded.challenge, 'hex');

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function webRelay(options: Partial<RelayOptions> = {}): Promise<TestRelay> {
  return testRelay({ web: { certificate: webCertificate }, ...options });
}

describe('a recorded handshake of a browser', () => {
  it('gives the same proof and certificates with the same keys, challenge and session', async () => {
    const etc = 'test/vectors/relay-ed448/etc';
    const credentials = await readCredentials({ config: etc, log: etc });
    const sessionId = Buffer.from(recorded.sessionId, 'hex');
    const answer = acceptHello({ stage: 'initial' }, encodeWebHello(challenge), {
      credentials,
      sessionId,
      sniUsed: true,
    });
    const ours = decodeServerHello(answer!.reply);
    const model = decodeServerHello(recordedBlock('web-server-hello'));
    expect(hexOf(ours.webProof)).toBe(hexOf(model.webProof));
    expect(ours.certificates.map(hexOf)).toEqual(model.certificates.map(hexOf));
    expect(ours.versions).toEqual(model.versions);
    expect(hexOf(ours.sessionId)).toBe(recorded.sessionId);
    expect(ours.signedKey.length).toBe(model.signedKey.length);
  });

  it('passes over the wire with the recorded headers, preflight included', async () => {
    const relay = await webRelay({ credentials: createCredentials('ed448', 'localhost') });
    const client = await connectBrowser({ port: relay.port });
    expect(client.socket.alpnProtocol).toBe(recorded.alpn);
    expect(client.socket.getPeerCertificate().fingerprint256).toBe(fingerprint256(webCertificate.chain));
    const preflight = await webRequest(client, {
      ':method': 'OPTIONS',
      origin: 'https://elsewhere.example',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'xftp-web-hello',
    });
    expect(preflight).toEqual({ headers: recorded.optionsHeaders, body: Buffer.alloc(0) });
    const hello = await webRequest(client, { 'xftp-web-hello': '1' }, encodeWebHello(challenge));
    expect(hello.headers).toEqual(recorded.helloHeaders);
    const decoded = decodeServerHello(hello.body);
    expect(hexOf(decoded.sessionId)).toBe(hexOf(client.sessionId));
    checkHello(decoded, challenge, relay.fingerprint);
    const handshake = await webRequest(
      client,
      { 'xftp-handshake': '1' },
      encodeClientHandshake({ version: 3, keyHash: relay.fingerprint }),
    );
    expect(handshake).toEqual({ headers: recorded.handshakeReplyHeaders, body: Buffer.alloc(0) });
  });

  it('begins with SESSION, byte for byte, when the header of the hello is missing', async () => {
    const relay = await webRelay();
    const client = await connectBrowser({ port: relay.port });
    const reply = await webRequest(client, {}, encodeWebHello(challenge));
    expect(reply.body).toEqual(recordedBlock('web-without-hello-reply'));
  });
});

describe('a browser', () => {
  it('uploads and downloads chunks over h2', async () => {
    const relay = await webRelay();
    const client = await openBrowser(relay);
    for (const size of [65536, 1048576]) {
      const chunk = await client.create(chunkBytes(size));
      expect(await client.put(chunk)).toBe('OK');
      expect(Buffer.from(chunk.bytes).equals(Buffer.from(await client.get(chunk)))).toBe(true);
    }
    expect(relay.problems).toEqual([]);
  });

  it('may say hello without a challenge, with the header only, and gets no proof', async () => {
    const relay = await webRelay();
    const client = await connectBrowser({ port: relay.port });
    for (const body of [undefined, encodeWebHello(undefined)]) {
      const { body: reply } = await webRequest(client, { 'xftp-web-hello': '1' }, body);
      expect(decodeServerHello(reply).webProof.length).toBe(0);
    }
  });

  it('may shake hands again on its connection, and goes on with the same session key', async () => {
    const relay = await webRelay();
    const client = await openBrowser(relay);
    const first = client.sessionKey;
    await shakeHands(client, relay.fingerprint);
    expect(client.sessionKey).toEqual(first);
    expect((await client.command({ type: 'PING' })).response.type).toBe('PONG');
  });

  it.each([
    ['a challenge of 31 bytes', Buffer.concat([Buffer.from([0, 33, 0x31, 31]), Buffer.alloc(16380)])],
    ['a block that cannot be unpadded', Buffer.alloc(16384, 0xff)],
    ['a body shorter than a block', Buffer.alloc(64)],
  ])('gets HANDSHAKE for %s', async (_what, body) => {
    const relay = await webRelay();
    const client = await connectBrowser({ port: relay.port });
    const reply = await webRequest(client, { 'xftp-web-hello': '1' }, body);
    expect(formatWireError(decodeBareError(reply.body)!)).toBe('HANDSHAKE');
  });

  it.each([
    ['ECDSA', webCertificate],
    ['RSA', rsaCertificate()],
  ])(
    'is shown the web certificate, with a key for %s, also if it could check the other one',
    async (_key, certificate) => {
      const relay = await webRelay({ web: { certificate } });
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        const socket = await openTls({ ...AS_BROWSER, port: relay.port, maxVersion });
        expect(socket.getPeerCertificate().fingerprint256).toBe(fingerprint256(certificate.chain));
        socket.destroy();
      }
    },
  );
});

describe('with a web certificate', () => {
  it('native clients, who name no host, get what they always got', async () => {
    const credentials = createCredentials('ed448', 'localhost');
    const relay = await webRelay({ credentials });
    const client = await relay.client();
    const shown = client.socket.getPeerCertificate();
    expect(Uint8Array.from(shown.raw)).toEqual(credentials.online.certificate);
    expect(client.socket.getCipher().name).toBe('TLS_CHACHA20_POLY1305_SHA256');
    expect(client.hello?.webProof.length).toBe(0);
    const chunk = await client.create(chunkBytes());
    expect(await client.put(chunk)).toBe('OK');
    expect(await client.get(chunk)).toEqual(chunk.bytes);
  });

  it('native clients of the apps, over http/1.1 and TLS 1.2, are served too', async () => {
    const relay = await webRelay();
    for (const options of [{ alpn: ['http/1.1'] }, { maxVersion: 'TLSv1.2' as const }]) {
      const client = await RawClient.open({
        port: relay.port,
        fingerprint: relay.fingerprint,
        ...options,
      });
      onTestFinished(() => client.close());
      expect(errorText((await client.command({ type: 'PING' })).response)).toBe('PONG');
    }
  });

  it('native responses have no headers for browsers, and OPTIONS and GET mean nothing without a host name', async () => {
    const relay = await webRelay();
    const client = await RawClient.connect({ port: relay.port });
    onTestFinished(() => client.close());
    for (const method of ['OPTIONS', 'GET', 'POST']) {
      const { headers } = await webRequest(client, { ':method': method });
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
    }
  });

  it('a client over h2 that names no host gets empty answers', async () => {
    const relay = await webRelay();
    const client = await connectBrowser({ port: relay.port, servername: '' });
    const { body } = await webRequest(client, { 'xftp-web-hello': '1' }, encodeWebHello(challenge));
    expect(body.length).toBe(0);
  });
});
