import {
  encodeServerHello,
  type ClientHandshake,
  decodeClientHandshake,
  decodeWebHello,
  includesVersion,
  SUPPORTED_VERSIONS,
  VERSION_INITIAL,
} from '../protocol/index.js';
import {
  constantTimeEqual,
  fingerprintOf,
  generateKeyPair,
  type KeyPair,
  sign,
  signSessionKey,
} from '../crypto/index.js';
import type { RelayCredentials } from './credentials.js';

/**
 * Where the handshake of a connection stands (protocol reference, section 3.5).
 *
 * - `initial`: nothing was said. A hello leads to `sent`.
 * - `sent`: the client has our hello and session key. Its handshake, if right, leads to `accepted`.
 * - `accepted`: requests are commands. A browser may start again, with the same key.
 */
export type HandshakeState =
  | { readonly stage: 'initial' }
  | { readonly stage: 'sent'; readonly key: KeyPair }
  | { readonly stage: 'accepted'; readonly key: KeyPair | undefined; readonly version: number };

/** State of a connection without ALPN: version 1, no handshake, no session key (section 2.6). */
export const ACCEPTED_WITHOUT_HANDSHAKE: HandshakeState = {
  stage: 'accepted',
  key: undefined,
  version: VERSION_INITIAL,
};

/** What of a request decides how it is read. */
export interface RequestKind {
  /** The client was shown the web certificate. */
  readonly sniUsed: boolean;
  readonly webHello: boolean;
  readonly webHandshake: boolean;
}

/** What a request is taken for. */
export type HandshakeStep = 'hello' | 'handshake' | 'command' | 'refused';

/** The table of section 3.5. */
export function handshakeStep(stage: HandshakeState['stage'], request: RequestKind): HandshakeStep {
  const hello = request.sniUsed && request.webHello;
  const handshake = request.sniUsed && request.webHandshake;
  switch (stage) {
    case 'initial':
      return request.sniUsed && !hello ? 'refused' : 'hello';
    case 'sent':
      return hello ? 'hello' : 'handshake';
    case 'accepted':
      if (hello) return 'hello';
      return handshake ? 'handshake' : 'command';
  }
}

/** What the two handshake steps need of the connection. */
export interface HandshakeContext {
  readonly credentials: RelayCredentials;
  /** The TLS session identifier. */
  readonly sessionId: Uint8Array;
  readonly sniUsed: boolean;
}

/**
 * Answers a hello: the new state and the block to send; undefined when the hello is wrong.
 *
 * @param block what the client sent: nothing, or a browser's hello
 */
export function acceptHello(
  state: HandshakeState,
  block: Uint8Array,
  context: HandshakeContext,
): { readonly state: HandshakeState; readonly reply: Uint8Array } | undefined {
  const challenge = readChallenge(block, context.sniUsed);
  if (challenge === 'wrong') return undefined;
  const key = (state.stage === 'initial' ? undefined : state.key) ?? generateKeyPair('x25519');
  const { identityCertificate, online } = context.credentials;
  const reply = encodeServerHello({
    versions: SUPPORTED_VERSIONS,
    sessionId: context.sessionId,
    certificates: [online.certificate, identityCertificate],
    signedKey: signSessionKey(online.privateKey, key.publicKey),
    webProof:
      challenge === undefined
        ? new Uint8Array()
        : sign(online.privateKey, Buffer.concat([challenge, context.sessionId])),
  });
  return { state: { stage: 'sent', key }, reply };
}

/** Checks a client's handshake: the new state, or undefined when it is wrong. */
export function acceptHandshake(
  state: HandshakeState,
  block: Uint8Array,
  context: HandshakeContext,
): HandshakeState | undefined {
  if (state.stage === 'initial') return undefined;
  let handshake: ClientHandshake;
  try {
    handshake = decodeClientHandshake(block);
  } catch {
    return undefined;
  }
  const ours = fingerprintOf(context.credentials.identityCertificate);
  if (!constantTimeEqual(handshake.keyHash, ours)) return undefined;
  if (!includesVersion(SUPPORTED_VERSIONS, handshake.version)) return undefined;
  return { stage: 'accepted', key: state.key, version: handshake.version };
}

function readChallenge(block: Uint8Array, sniUsed: boolean): Uint8Array | undefined | 'wrong' {
  if (block.length === 0) return undefined;
  if (!sniUsed) return 'wrong';
  try {
    return decodeWebHello(block);
  } catch {
    return 'wrong';
  }
}
