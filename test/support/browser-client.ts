import { execFileSync } from 'node:child_process';
import { randomBytes, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http2';

import { onTestFinished } from 'vitest';

import {
  decodeServerHello,
  encodeClientHandshake,
  encodeWebHello,
  type ServerHello,
} from '#src/protocol/index.js';
import { fingerprintOf, readCertificate, verify, verifySessionKey } from '#src/crypto/index.js';
import type { WebCertificate } from '#src/relay/index.js';

import { RawClient, type RawOptions } from './raw-client.js';

/** The recorded web certificate, for `localhost`: any certificate but the relay's own would do. */
export const webCertificate: WebCertificate = {
  chain: readFileSync('test/vectors/relay-ed448/etc/web.crt', 'utf8'),
  key: readFileSync('test/vectors/relay-ed448/etc/web.key', 'utf8'),
};

/** A fresh certificate for `localhost` whose key is another kind. */
export function rsaCertificate(): WebCertificate {
  const parameters = 'req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 30 -keyout - -out -';
  const pem = execFileSync('openssl', parameters.split(' '), {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return { chain: pem, key: pem };
}

/** SHA-256 of a certificate in PEM, as the sockets of Node tell it. */
export function fingerprint256(pem: string): string {
  return new X509Certificate(pem).fingerprint256;
}

/** TLS as browsers speak it: any cipher, `h2`, and the name of the host. */
export const AS_BROWSER = { alpn: ['h2', 'http/1.1'], servername: 'localhost', anyTls: true } as const;

/** Connects as a browser does, without a word yet. */
export async function connectBrowser(options: RawOptions): Promise<RawClient> {
  const client = await RawClient.connect({ ...AS_BROWSER, ...options });
  onTestFinished(() => client.close());
  return client;
}

/** Connects and shakes hands as the web client does, with all its checks (protocol reference, section 3.7). */
export async function openBrowser(relay: {
  readonly port: number;
  readonly fingerprint: Uint8Array;
}): Promise<RawClient> {
  const client = await connectBrowser({ port: relay.port });
  await shakeHands(client, relay.fingerprint);
  return client;
}

/** The web handshake on a connection, or once more on it. */
export async function shakeHands(client: RawClient, fingerprint: Uint8Array): Promise<void> {
  const challenge = randomBytes(32);
  const reply = await webRequest(client, { 'xftp-web-hello': '1' }, encodeWebHello(challenge));
  const hello = decodeServerHello(reply.body);
  client.hello = hello;
  client.sessionKey = checkHello(hello, challenge, fingerprint);
  const keyHash = fingerprint;
  const accepted = await webRequest(
    client,
    { 'xftp-handshake': '1' },
    encodeClientHandshake({ version: 3, keyHash }),
  );
  if (accepted.body.length > 0) throw new Error('The handshake was refused.');
}

/** What a browser, which sees nothing of TLS, checks of a hello; gives the session key. */
export function checkHello(hello: ServerHello, challenge: Uint8Array, fingerprint: Uint8Array): Uint8Array {
  const [leaf, identity] = hello.certificates;
  if (leaf === undefined || identity === undefined) throw new Error('The chain is too short.');
  if (!Buffer.from(fingerprintOf(identity)).equals(fingerprint)) throw new Error('Another identity.');
  const { publicKey } = readCertificate(leaf);
  if (!verify(publicKey, Buffer.concat([challenge, hello.sessionId]), hello.webProof))
    throw new Error('The proof is wrong.');
  return verifySessionKey(publicKey, hello.signedKey);
}

/** A response with its headers. */
export interface WebReply {
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

/** Any request with any headers; the whole response. */
export async function webRequest(
  client: RawClient,
  headers: Record<string, string>,
  body?: Uint8Array,
): Promise<WebReply> {
  const stream = client.start(headers, body === undefined);
  const received = new Promise<IncomingHttpHeaders>((resolve) => stream.once('response', resolve));
  const reply = RawClient.reply(stream);
  if (body !== undefined) stream.end(body);
  const { body: content } = await reply;
  return { headers: Object.fromEntries(Object.entries(await received)), body: content };
}
