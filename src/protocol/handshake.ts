import { BLOCK_SIZE, pad, unpad } from './block.js';
import { ByteReader, ByteWriter } from './encoding.js';
import { XftpError } from './failure.js';
import type { VersionRange } from './version.js';

/** ALPN of native clients. */
export const ALPN_XFTP = 'xftp/1';
/** ALPN of browsers. */
export const ALPN_H2 = 'h2';
/** ALPN of official clients in web port mode, which then speak HTTP/2 all the same. */
export const ALPN_HTTP11 = 'http/1.1';

/** Request header that marks a browser's hello. */
export const HEADER_WEB_HELLO = 'xftp-web-hello';
/** Request header that marks a browser's client handshake. */
export const HEADER_HANDSHAKE = 'xftp-handshake';

/** Length of a browser's identity challenge, in bytes. */
export const CHALLENGE_LENGTH = 32;
/** First message of a relay on a connection (protocol reference, section 3.3). */
export interface ServerHello {
  readonly versions: VersionRange;
  /** The TLS session identifier, of any length up to 255 bytes. */
  readonly sessionId: Uint8Array;
  /** DER certificates, leaf first. */
  readonly certificates: readonly Uint8Array[];
  /** The relay's X25519 session key, signed by the leaf (section 3.4), as DER. */
  readonly signedKey: Uint8Array;
  /** Signature of the leaf over challenge and session identifier; empty without a challenge. */
  readonly webProof: Uint8Array;
}

/** A client's answer to the hello (protocol reference, section 3.6). */
export interface ClientHandshake {
  readonly version: number;
  /** Fingerprint of the relay the client means to talk to: 32 bytes. */
  readonly keyHash: Uint8Array;
}

/** The hello as a block. */
export function encodeServerHello(hello: ServerHello): Uint8Array {
  const body = new ByteWriter();
  body
    .u16(hello.versions.min)
    .u16(hello.versions.max)
    .short(hello.sessionId)
    .list(hello.certificates, (certificate) => body.large(certificate))
    .large(hello.signedKey)
    .short(hello.webProof);
  return pad(body.finish());
}

/**
 * Reads a hello block. A missing web proof counts as empty; bytes after it are ignored.
 *
 * @throws XftpError INVALID_BLOCK or INVALID_ENCODING
 */
export function decodeServerHello(block: Uint8Array): ServerHello {
  const reader = new ByteReader(unpadFull(block));
  const versions = { min: reader.u16(), max: reader.u16() };
  if (versions.min > versions.max)
    throw new XftpError('INVALID_ENCODING', 'The hello of the relay holds an impossible version range.');
  return {
    versions,
    sessionId: reader.short(),
    certificates: reader.nonEmptyList(() => reader.large()),
    signedKey: reader.large(),
    webProof: reader.remaining === 0 ? new Uint8Array() : reader.short(),
  };
}

/** A browser's hello as a block, with a challenge of 32 bytes or none. */
export function encodeWebHello(challenge: Uint8Array | undefined): Uint8Array {
  const body = new ByteWriter();
  body.maybe(challenge, (bytes) => body.short(bytes));
  return pad(body.finish());
}

/**
 * Reads a browser's hello block and returns its challenge. Bytes after it are ignored.
 *
 * @throws XftpError INVALID_BLOCK or INVALID_ENCODING
 */
export function decodeWebHello(block: Uint8Array): Uint8Array | undefined {
  const reader = new ByteReader(unpadFull(block));
  const challenge = reader.maybe(() => reader.short());
  if (challenge !== undefined && challenge.length !== CHALLENGE_LENGTH)
    throw new XftpError('INVALID_ENCODING', `A challenge has ${String(CHALLENGE_LENGTH)} bytes.`);
  return challenge;
}

/** The client's handshake as a block. */
export function encodeClientHandshake(handshake: ClientHandshake): Uint8Array {
  return pad(new ByteWriter().u16(handshake.version).short(handshake.keyHash).finish());
}

/**
 * Reads a client's handshake block. Trailing bytes are ignored.
 *
 * @throws XftpError INVALID_BLOCK or INVALID_ENCODING
 */
export function decodeClientHandshake(block: Uint8Array): ClientHandshake {
  const reader = new ByteReader(unpadFull(block));
  return { version: reader.u16(), keyHash: reader.short() };
}

function unpadFull(block: Uint8Array): Uint8Array {
  if (block.length !== BLOCK_SIZE)
    throw new XftpError(
      'INVALID_BLOCK',
      `A block has ${String(BLOCK_SIZE)} bytes, this one has ${String(block.length)}.`,
    );
  return unpad(block);
}
