import { readFileSync } from 'node:fs';
import { pemDecode } from '#src/crypto/index.js';

const VECTORS = new URL('../vectors/', import.meta.url);

/** A relay of the reference program, as recorded in test/vectors. */
export interface RecordedRelay {
  readonly algorithm: 'ed25519' | 'ed448';
  readonly commonName: string;
  /** base64url, as in the relay's address. */
  readonly fingerprint: string;
  readonly identity: { readonly certificate: Uint8Array; readonly privateKey: Uint8Array };
  readonly online: { readonly certificate: Uint8Array; readonly privateKey: Uint8Array };
  /** What it showed in TLS. */
  readonly shown: { readonly identity: Uint8Array; readonly online: Uint8Array };
  /** Its first block on a connection. */
  readonly hello: Uint8Array;
}

/** When the recordings were made. */
export const RECORDED_AT = new Date('2026-11-22T12:00:00Z');

export const RECORDED_RELAYS: readonly RecordedRelay[] = [
  load('ed25519', 'relay-ed25519/cfg/', '127.0.0.1'),
  load('ed448', 'relay-ed448/etc/', 'relay.example'),
];

/** Any recorded file. */
export function readVector(path: string): Buffer {
  return readFileSync(new URL(path, VECTORS));
}

function load(algorithm: RecordedRelay['algorithm'], folder: string, commonName: string): RecordedRelay {
  const text = (name: string): string => readVector(folder + name).toString('utf8');
  const handshake = JSON.parse(readVector(`handshake/${algorithm}.json`).toString('utf8')) as {
    leafDerBase64: string;
    caDerBase64: string;
  };
  return {
    algorithm,
    commonName,
    fingerprint: text('fingerprint').trim(),
    identity: {
      certificate: pemDecode(text('ca.crt'), 'CERTIFICATE'),
      privateKey: pemDecode(text('ca.key'), 'PRIVATE KEY'),
    },
    online: {
      certificate: pemDecode(text('server.crt'), 'CERTIFICATE'),
      privateKey: pemDecode(text('server.key'), 'PRIVATE KEY'),
    },
    shown: {
      identity: new Uint8Array(Buffer.from(handshake.caDerBase64, 'base64')),
      online: new Uint8Array(Buffer.from(handshake.leafDerBase64, 'base64')),
    },
    hello: new Uint8Array(readVector(`handshake/${algorithm}-server-hello.block`)),
  };
}
