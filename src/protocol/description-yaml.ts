import { decodeBase64Url, encodeBase64Url } from './base64url.js';
import { bytesEqual } from './bytes.js';
import {
  type Chunk,
  FILE_NONCE_LENGTH,
  type FileDescription,
  invalidDescription,
  type Party,
  type Redirect,
  type Replica,
  validateDescription,
  validateLengths,
} from './file-description.js';
import {
  compareServers,
  formatServerAddress,
  parseServerAddress,
  type ServerAddress,
} from './server-address.js';
import { formatSizeText, parseSizeText } from './size-text.js';
import { formatYamlText, readYaml } from './yaml-text.js';

/** Most characters of a description: what a redirect, which is a single chunk, can carry. */
export const MAX_DESCRIPTION_LENGTH = 4 * 1024 * 1024;

/** A description of the greatest length has about 6 YAML tokens for each of its 28 000 lines. */
const MAX_TOKENS = 200_000;

/** How strictly a description is read. */
export interface ParseDescriptionOptions {
  /** false: leave out `validateLengths`, as the reference's parser does. Such a description may be of no use. */
  readonly checkLengths?: boolean;
}

/**
 * A description as YAML in exactly the style of the reference (protocol reference, sections 8.1 to 8.4):
 * its browser client reads no other.
 *
 * @throws XftpError INVALID_DESCRIPTION when the description does not validate or is too long to be read again.
 */
export function formatDescription(description: FileDescription): string {
  validateDescription(description);
  const { chunkSize, digest, key, nonce, party, redirect, size } = description;
  const lines = [
    `chunkSize: ${formatYamlText(formatSizeText(chunkSize))}`,
    `digest: ${formatBytes(digest)}`,
    `key: ${formatBytes(key)}`,
    `nonce: ${formatBytes(nonce)}`,
    `party: ${party}`,
    ...(redirect === undefined ? [] : formatRedirect(redirect)),
    'replicas:',
    ...groupByServer(description).flatMap(({ server, replicas }) => [
      '- chunks:',
      ...replicas.map((replica) => `  - ${formatYamlText(replica)}`),
      `  server: ${formatYamlText(formatServerAddress(server))}`,
    ]),
    `size: ${formatYamlText(formatSizeText(size))}`,
  ];
  const yaml = `${lines.join('\n')}\n`;
  if (yaml.length > MAX_DESCRIPTION_LENGTH) throw invalidDescription('it is too long');
  return yaml;
}

function formatBytes(bytes: Uint8Array): string {
  return formatYamlText(encodeBase64Url(bytes));
}

function formatRedirect({ digest, size }: Redirect): string[] {
  return ['redirect:', `  digest: ${formatBytes(digest)}`, `  size: ${String(size)}`];
}

interface ServerReplicas {
  readonly server: ServerAddress;
  /** Replica strings by chunk number, then by place among the chunk's replicas. */
  readonly replicas: string[];
}

/** The replica strings of each server, servers in the reference's order (protocol reference, section 8.2). */
function groupByServer({ chunks, chunkSize }: FileDescription): ServerReplicas[] {
  const groups = new Map<string, ServerReplicas>();
  for (const chunk of chunks)
    for (const [index, replica] of chunk.replicas.entries()) {
      const identity = serverIdentity(replica.server);
      const group = groups.get(identity) ?? { server: replica.server, replicas: [] };
      groups.set(identity, group);
      group.replicas.push(formatReplica(chunk, replica, index === 0, chunkSize));
    }
  return [...groups.values()].sort((a, b) => compareServers(a.server, b.server));
}

/** Equal for two addresses exactly if `sameServer`. */
function serverIdentity({ hosts, port, fingerprint }: ServerAddress): string {
  return [...hosts.map(({ text }) => text), String(port), encodeBase64Url(fingerprint)].join(' ');
}

function formatReplica(chunk: Chunk, { id, key }: Replica, first: boolean, defaultSize: number): string {
  const fields = [String(chunk.number), encodeBase64Url(id), encodeBase64Url(key)];
  if (first) fields.push(encodeBase64Url(chunk.digest));
  if (first && chunk.size !== defaultSize) fields.push(formatSizeText(chunk.size));
  return fields.join(':');
}

/**
 * Reads a description in YAML of any style (protocol reference, section 8.5); unknown fields are ignored.
 * More tolerant than the reference in that sizes may be unquoted numbers. A replica with a digest comes before
 * those without in its chunk, as it was the sender's first; exact repetitions of a replica are dropped.
 *
 * @throws XftpError INVALID_DESCRIPTION. The message names the field and has nothing of its value.
 */
export function parseDescription(text: string, options: ParseDescriptionOptions = {}): FileDescription {
  const fields = readYaml(text, { maxLength: MAX_DESCRIPTION_LENGTH, maxTokens: MAX_TOKENS });
  if (!isMapping(fields)) throw invalidDescription('it is not a mapping of fields to values');
  const chunkSize = readSize(fields, 'chunkSize');
  const description = {
    party: readParty(fields),
    size: readSize(fields, 'size'),
    digest: readBytes(fields, 'digest'),
    key: readBytes(fields, 'key'),
    nonce: fitNonce(readBytes(fields, 'nonce')),
    chunkSize,
    chunks: collectChunks(readReplicas(fields), chunkSize),
    ...readRedirect(fields.get('redirect')),
  };
  validateDescription(description);
  if (options.checkLengths !== false) validateLengths(description);
  return description;
}

type Mapping = ReadonlyMap<unknown, unknown>;

function isMapping(value: unknown): value is Mapping {
  return value instanceof Map;
}

function readText(fields: Mapping, name: string): string {
  const value = fields.get(name);
  if (value === undefined) throw invalidDescription(`the field ${name} is missing`);
  if (typeof value !== 'string') throw invalidDescription(`the field ${name} is not text`);
  return value;
}

/** What `read` makes of a text, its failure being one of the named part of the description. */
function readAs<T>(name: string, text: string, read: (text: string) => T): T {
  try {
    return read(text);
  } catch (cause) {
    throw invalidDescription(`${name} cannot be read`, cause);
  }
}

function readSize(fields: Mapping, name: string): number {
  return readAs(`the field ${name}`, readText(fields, name), parseSizeText);
}

function readBytes(fields: Mapping, name: string): Uint8Array {
  return readAs(`the field ${name}`, readText(fields, name), decodeBase64Url);
}

function readParty(fields: Mapping): Party {
  const party = readText(fields, 'party');
  if (party === 'recipient' || party === 'sender') return party;
  throw invalidDescription('the field party is neither recipient nor sender');
}

/** YAML's ways to say that there is nothing, as text. */
const NOTHING: readonly unknown[] = [undefined, '', '~', 'null'];

function readRedirect(value: unknown): { redirect?: Redirect } {
  if (NOTHING.includes(value)) return {};
  if (!isMapping(value)) throw invalidDescription('the field redirect is not a mapping');
  return { redirect: { size: readSize(value, 'size'), digest: readBytes(value, 'digest') } };
}

/** As the reference does: a short nonce is filled up with zeros, a long one cut. */
function fitNonce(nonce: Uint8Array): Uint8Array {
  const fitted = new Uint8Array(FILE_NONCE_LENGTH);
  fitted.set(nonce.subarray(0, FILE_NONCE_LENGTH));
  return fitted;
}

/** A replica string with its server. */
interface ReplicaEntry {
  readonly chunk: number;
  readonly replica: Replica;
  /** Server and ID, for finding repetitions. */
  readonly identity: string;
  readonly digest: Uint8Array | undefined;
  readonly size: number | undefined;
}

function readReplicas(fields: Mapping): ReplicaEntry[] {
  const servers = fields.get('replicas');
  if (!Array.isArray(servers)) throw invalidDescription('the field replicas is missing or not a sequence');
  return servers.flatMap((entry: unknown, index) =>
    readServerReplicas(entry, `entry ${String(index + 1)} of replicas`),
  );
}

function readServerReplicas(entry: unknown, name: string): ReplicaEntry[] {
  if (!isMapping(entry)) throw invalidDescription(`${name} is not a mapping`);
  const server = readAs(`the server in ${name}`, readText(entry, 'server'), (text) =>
    parseServerAddress(text, { checkFingerprint: false }),
  );
  const identity = serverIdentity(server);
  const replicas = entry.get('chunks');
  if (!Array.isArray(replicas)) throw invalidDescription(`${name} has no sequence of chunks`);
  return replicas.map((replica: unknown, index) =>
    readAs(`chunk ${String(index + 1)} in ${name}`, typeof replica === 'string' ? replica : '', (text) =>
      parseReplica(text, server, identity),
    ),
  );
}

const REPLICA = /^(\d{1,9}):([^:]+):([^:]+)(?::([^:]+)(?::([^:]+))?)?$/;

function parseReplica(text: string, server: ServerAddress, identity: string): ReplicaEntry {
  const [, number, id = '', key = '', digest, size] = REPLICA.exec(text) ?? [];
  if (number === undefined) throw invalidDescription('a replica does not have its fields');
  return {
    chunk: Number(number),
    replica: { server, id: decodeBase64Url(id), key: decodeBase64Url(key) },
    identity: `${identity} ${id}`,
    digest: digest === undefined ? undefined : decodeBase64Url(digest),
    size: size === undefined ? undefined : parseSizeText(size),
  };
}

/** The chunks, sorted by number, with what their replicas say about them. */
function collectChunks(entries: readonly ReplicaEntry[], defaultSize: number): Chunk[] {
  const byChunk = new Map<number, ReplicaEntry[]>();
  for (const entry of entries) {
    const others = byChunk.get(entry.chunk);
    if (others === undefined) byChunk.set(entry.chunk, [entry]);
    else others.push(entry);
  }
  return [...byChunk.entries()]
    .sort(([a], [b]) => a - b)
    .map(([number, of]) => joinReplicas(number, of, defaultSize));
}

function joinReplicas(number: number, entries: readonly ReplicaEntry[], defaultSize: number): Chunk {
  const name = `chunk ${String(number)}`;
  const digests = entries.flatMap(({ digest }) => (digest === undefined ? [] : [digest]));
  const sizes = entries.flatMap(({ size }) => (size === undefined ? [] : [size]));
  const [digest] = digests;
  const [size = defaultSize] = sizes;
  if (digest === undefined) throw invalidDescription(`there is no digest of ${name}`);
  if (!digests.every((other) => bytesEqual(other, digest)))
    throw invalidDescription(`the digests of ${name} differ`);
  if (!sizes.every((other) => other === size)) throw invalidDescription(`the sizes of ${name} differ`);
  const ordered = [...entries].sort(
    (a, b) => Number(a.digest === undefined) - Number(b.digest === undefined),
  );
  const distinct = new Map<string, Replica>();
  for (const { identity, replica } of ordered) if (!distinct.has(identity)) distinct.set(identity, replica);
  return { number, size, digest, replicas: [...distinct.values()] };
}
