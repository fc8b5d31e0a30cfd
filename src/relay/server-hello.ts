import { ByteWriter, pad, type ServerHello } from '../protocol/index.js';

/**
 * The hello as a block (protocol reference, section 3.3). Stands in for the protocol folder's `encodeServerHello`, whose
 * writer is used before it is made.
 */
export function encodeHello(hello: ServerHello): Uint8Array {
  const body = new ByteWriter();
  body.u16(hello.versions.min).u16(hello.versions.max).short(hello.sessionId);
  body.list(hello.certificates, (certificate) => body.large(certificate));
  return pad(body.large(hello.signedKey).short(hello.webProof).finish());
}
