import nacl from 'tweetnacl';

import {
  bytesEqual,
  type Command,
  concatBytes,
  decodePublicKey,
  decodeResponse,
  decodeServerHello,
  decodeTransmission,
  encodeBase64Url,
  encodeClientHandshake,
  encodeCommand,
  encodePublicKey,
  encodeTransmission,
  encodeWebHello,
  type Response as RelayResponse,
} from '#src/protocol/index.js';

// Runs in a browser: a web client of one chunk, with nothing but our protocol module and a library for the primitives.

const BLOCK = 16384;
const TAG = 16;
const EMPTY = new Uint8Array();
/** How the key of an Ed25519 certificate begins in it. */
const ED25519_KEY = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/** What the page found out. */
export interface PageResult {
  /** Base64url of the identity that the relay has proved. */
  readonly fingerprint: string;
  readonly uploaded: string;
  /** Bytes that came back as they were sent. */
  readonly received: number;
  readonly deleted: string;
}

/** Shakes hands with a relay, uploads a chunk of random bytes, downloads and deletes it. */
async function transferChunk(url: string, size: number): Promise<PageResult> {
  const { sessionId, identity } = await shakeHands(url);
  const send = async (
    command: Command,
    entityId: Uint8Array,
    secretKey: Uint8Array,
    chunk: Uint8Array = EMPTY,
  ): Promise<{ response: RelayResponse; rest: Uint8Array }> => {
    const block = encodeTransmission(
      { sessionId, correlationId: EMPTY, entityId, command: encodeCommand(command) },
      (authorized) => nacl.sign.detached(authorized, secretKey),
    );
    const body = await post(url, {}, concatBytes(block, chunk));
    return {
      response: decodeResponse(decodeTransmission(body.subarray(0, BLOCK)).command),
      rest: body.subarray(BLOCK),
    };
  };

  const chunk = nacl.randomBytes(size);
  const [sender, recipient] = [nacl.sign.keyPair(), nacl.sign.keyPair()];
  const { response: created } = await send(
    {
      type: 'FNEW',
      senderKey: encodePublicKey({ algorithm: 'ed25519', raw: sender.publicKey }),
      size,
      digest: await sha256(chunk),
      recipientKeys: [encodePublicKey({ algorithm: 'ed25519', raw: recipient.publicKey })],
    },
    EMPTY,
    sender.secretKey,
  );
  if (created.type !== 'SIDS') throw new Error(`FNEW: ${JSON.stringify(created)}`);
  const [recipientId = EMPTY] = created.recipientIds;
  const uploaded = await send({ type: 'FPUT' }, created.senderId, sender.secretKey, chunk);
  const pair = nacl.box.keyPair();
  const key = encodePublicKey({ algorithm: 'x25519', raw: pair.publicKey });
  const { response: file, rest } = await send({ type: 'FGET', key }, recipientId, recipient.secretKey);
  if (file.type !== 'FILE') throw new Error(`FGET: ${JSON.stringify(file)}`);
  const tagFirst = concatBytes(rest.subarray(-TAG), rest.subarray(0, -TAG));
  const opened = nacl.box.open(tagFirst, file.nonce, decodePublicKey(file.key).raw, pair.secretKey);
  if (opened === null || !bytesEqual(opened, chunk)) throw new Error('The chunk is another.');
  const deleted = await send({ type: 'FDEL' }, created.senderId, sender.secretKey);
  return {
    fingerprint: encodeBase64Url(await sha256(identity)),
    uploaded: uploaded.response.type,
    received: opened.length,
    deleted: deleted.response.type,
  };
}

async function shakeHands(url: string): Promise<{ sessionId: Uint8Array; identity: Uint8Array }> {
  const challenge = nacl.randomBytes(32);
  const reply = await post(url, { 'xftp-web-hello': '1' }, encodeWebHello(challenge));
  const { sessionId, certificates, webProof } = decodeServerHello(reply);
  const [leaf = EMPTY, identity = EMPTY] = certificates;
  if (!nacl.sign.detached.verify(concatBytes(challenge, sessionId), webProof, keyOf(leaf)))
    throw new Error('The proof is wrong.');
  const handshake = encodeClientHandshake({ version: 3, keyHash: await sha256(identity) });
  const refusal = await post(url, { 'xftp-handshake': '1' }, handshake);
  if (refusal.length > 0) throw new Error('The handshake was refused.');
  return { sessionId, identity };
}

function keyOf(certificate: Uint8Array): Uint8Array {
  for (let at = 0; at + ED25519_KEY.length + 32 <= certificate.length; at++)
    if (ED25519_KEY.every((byte, index) => certificate[at + index] === byte))
      return certificate.subarray(at + ED25519_KEY.length).slice(0, 32);
  throw new Error('No Ed25519 key in the certificate.');
}

async function post(url: string, headers: Record<string, string>, body: Uint8Array): Promise<Uint8Array> {
  const reply = await fetch(url, { method: 'POST', headers, body: body.slice() });
  return new Uint8Array(await reply.arrayBuffer());
}

async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes.slice()));
}

Object.assign(globalThis, { transferChunk });
