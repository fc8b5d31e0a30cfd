import { generateKeyPair, randomBytes, sealTagLast, sharedSecret } from '#src/crypto/index.js';
import { concatBytes, encodeBase64Url, formatServerAddress } from '#src/protocol/index.js';

import { type FakeReply, type FakeRequest, startFakeRelay } from '../support/fake-relay.js';

/** What a lie makes of the honest reply. */
export type Lie = (
  request: FakeRequest,
  honest: Exclude<FakeReply, 'silence' | { raw: unknown }>,
) => FakeReply;

/** A relay that keeps chunks in memory, and lies when it is told to. */
export interface LyingRelay {
  /** Server address as text. */
  readonly address: string;
  /** From now on replies are what the lie makes of them; without one they are honest. */
  readonly lie: (lie?: Lie) => void;
  /** Changes the chunks before they are encrypted for a recipient. */
  readonly tamper: (change: (chunk: Uint8Array) => Uint8Array) => void;
}

/** Starts a lying relay, which ends with the running test. */
export async function startLyingRelay(): Promise<LyingRelay> {
  const chunks = new Map<string, Uint8Array>();
  const senderOf = new Map<string, string>();
  let lie: Lie = (_, honest) => honest;
  let change = (chunk: Uint8Array): Uint8Array => chunk;

  function honest({
    command,
    transmission,
    body,
  }: FakeRequest): Exclude<FakeReply, 'silence' | { raw: unknown }> {
    const entity = encodeBase64Url(transmission.entityId);
    switch (command.type) {
      case 'FNEW': {
        const senderId = randomBytes(16);
        const recipientIds = command.recipientKeys.map(() => randomBytes(16));
        for (const id of recipientIds) senderOf.set(encodeBase64Url(id), encodeBase64Url(senderId));
        return { response: { type: 'SIDS', senderId, recipientIds } };
      }
      case 'FPUT':
        chunks.set(entity, body);
        return { response: { type: 'OK' } };
      case 'FGET': {
        const chunk = chunks.get(senderOf.get(entity) ?? '');
        if (chunk === undefined) return { response: { type: 'ERR', error: { type: 'AUTH' } } };
        const pair = generateKeyPair('x25519');
        const nonce = randomBytes(24);
        const box = sealTagLast(sharedSecret(pair.privateKey, command.key), nonce, change(chunk));
        return { response: { type: 'FILE', key: pair.publicKey, nonce }, body: box };
      }
      default:
        return { response: { type: 'OK' } };
    }
  }

  const relay = await startFakeRelay({ onCommand: (request) => lie(request, honest(request)) });
  return {
    address: formatServerAddress(relay.server),
    lie: (next = (_, reply) => reply) => {
      lie = next;
    },
    tamper: (next) => {
      change = next;
    },
  };
}

/** Changes only the body of downloads. */
export function bodyLie(make: (body: Uint8Array) => Uint8Array): Lie {
  return ({ command }, honest) =>
    command.type === 'FGET' && honest.body !== undefined ? { ...honest, body: make(honest.body) } : honest;
}

/** A body with bytes of any value behind it. */
export function longer(body: Uint8Array, bytes: number): Uint8Array {
  return concatBytes(body, new Uint8Array(bytes));
}
