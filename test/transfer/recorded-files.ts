import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { sha256 } from '#src/crypto/index.js';
import {
  bytesEqual,
  encodeBase64Url,
  type FileDescription,
  parseDescription,
  parseLink,
} from '#src/protocol/index.js';

const VECTORS = join(import.meta.dirname, '../vectors');
/** Where the two recorded relays keep the bodies of chunks. */
const STORES = ['relay-ed448/srv', 'relay-ed25519/files'];
const WEB_REDIRECT = 'web-redirect';

/** A file that the reference programs sent. */
export interface RecordedFile {
  readonly name: string;
  readonly content: Uint8Array;
  /** Any party's description: key, nonce, digests and sizes are the same in all of them. */
  readonly description: FileDescription;
  /** Bodies by chunk; none for a file that was deleted from its relay or blocked. */
  readonly chunks: readonly Uint8Array[] | undefined;
}

interface Source {
  readonly name: string;
  readonly size: number;
  readonly sha256: string;
  readonly generator: string;
}

const sources = JSON.parse(readFileSync(join(VECTORS, 'sources.json'), 'utf8')) as Source[];

/** Every file of the reference command line. */
export const recordedFiles: readonly RecordedFile[] = sources
  .filter(({ name }) => existsSync(descriptionFolder(name)))
  .map((source) => {
    const folder = descriptionFolder(source.name);
    const description = parseDescription(readFileSync(join(folder, 'snd.xftp.private'), 'utf8'));
    const bodies = description.chunks.map(({ replicas }) => storedBody(replicas[0]?.id ?? new Uint8Array()));
    const chunks = bodies.every((body) => body !== undefined) ? bodies : undefined;
    return { name: source.name, content: contentOf(source), description, chunks };
  });

/** The recipients' descriptions that the reference command line wrote for a file. */
export function recipientDescriptions(name: string): FileDescription[] {
  return readdirSync(descriptionFolder(name))
    .filter((file) => file.startsWith('rcv'))
    .map((file) => parseDescription(readFileSync(join(descriptionFolder(name), file), 'utf8')));
}

/** What the reference browser client made: a link with a redirect, the bodies it leads to, and the file behind. */
export const recordedRedirect = {
  name: 'web-redirect.bin',
  content: contentOf(sources.find(({ name }) => name === 'web-redirect.bin')),
  description: parseLink(readFileSync(join(VECTORS, WEB_REDIRECT, 'web-link.txt'), 'utf8')),
} as const;

/** Bodies of the browser client's chunks, found by their digests. */
export function redirectBodies({ chunks }: FileDescription): Uint8Array[] {
  const folder = join(VECTORS, WEB_REDIRECT, 'chunks');
  const bodies = readdirSync(folder).map((name) => new Uint8Array(readFileSync(join(folder, name))));
  return chunks.map(({ digest }) => {
    const body = bodies.find((candidate) => bytesEqual(sha256(candidate), digest));
    if (body === undefined) throw new Error('A chunk of the redirect is not recorded.');
    return body;
  });
}

/** What the README of the vectors says: SHA-256(name ‖ counter) over and over, cut to size. */
function contentOf(source: Source | undefined): Uint8Array {
  if (source === undefined) throw new Error('No such source is recorded.');
  const { generator, size } = source;
  const content = new Uint8Array(Math.ceil(size / 32) * 32);
  for (let counter = 0; counter * 32 < size; counter++) {
    const suffix = Buffer.alloc(4);
    suffix.writeUInt32BE(counter);
    content.set(createHash('sha256').update(generator, 'utf8').update(suffix).digest(), counter * 32);
  }
  const whole = content.subarray(0, size);
  if (Buffer.from(sha256(whole)).toString('hex') !== source.sha256)
    throw new Error('The content of a source is made in another way than recorded.');
  return whole;
}

function descriptionFolder(name: string): string {
  return join(VECTORS, 'files', `${name}.xftp`);
}

function storedBody(senderId: Uint8Array): Uint8Array | undefined {
  const path = STORES.map((store) => join(VECTORS, store, encodeBase64Url(senderId))).find(existsSync);
  return path === undefined ? undefined : new Uint8Array(readFileSync(path));
}
