import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, expect, it } from 'vitest';

import {
  concatBytes,
  decodeBareError,
  decodeBase64Url,
  decodeClientHandshake,
  decodeCommand,
  decodePlaintextPrefix,
  decodePrivateKey,
  decodePublicKey,
  decodeResponse,
  decodeServerHello,
  decodeTransmission,
  decodeUtf8,
  decodeWebFragment,
  decodeWebHello,
  encodeBareError,
  encodeClientHandshake,
  encodeCommand,
  encodePlaintextPrefix,
  encodePrivateKey,
  encodePublicKey,
  encodeResponse,
  encodeTransmission,
  encodeUtf8,
  encodeWebFragment,
  formatDescriptionUri,
  pad,
  parseBlockingInfo,
  parseDescription,
  parseDescriptionUri,
  parseHost,
  parseLink,
  parseServerAddress,
  parseServerList,
  parseSizeText,
  parseWireError,
  unpad,
  XftpError,
} from '#src/protocol/index.js';
import { fixture, minimal, recordedRedirectLink, recordedWebLinks } from './description-samples.js';

/** The same cases in each run. */
const SEED = 0x5eed_2026;
/** A decoder that one case keeps busy for so long has been trapped by it. */
const LONG_MS = 2000;
const MIN_CASES = 100_000;

let state = SEED;

/** An integer from 0 to below `limit`: mulberry32, fast and seeded. */
function random(limit: number): number {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
}

function pick<T>(items: readonly T[]): T {
  const item = items[random(items.length)];
  if (item === undefined) throw new Error('There is nothing to pick from.');
  return item;
}

function randomBytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random(256));
}

/** Bytes that mean something somewhere: lengths, markers, blanks. */
const SPECIAL = [0, 1, 2, 0x20, 0x23, 0x30, 0x31, 0x41, 0x7f, 0x80, 0xff];

/** The sample with some bytes changed, cut out, put in or doubled; most of the changes at its start, where fields are. */
function mutateBytes(sample: Uint8Array): Uint8Array {
  let bytes: Uint8Array = new Uint8Array(sample);
  for (let edits = 1 + random(4); edits > 0; edits--) {
    const at = random(Math.max(1, random(2) === 0 ? Math.min(bytes.length, 80) : bytes.length));
    const kind = random(10);
    if (kind < 4) bytes[at] = random(256);
    else if (kind < 6) bytes[at] = pick(SPECIAL);
    else if (kind < 8) bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
    else {
      const added = kind === 8 ? randomBytes(random(5)) : bytes.subarray(at, at + random(40));
      const rest = bytes.subarray(Math.min(bytes.length, at + random(5)));
      bytes = concatBytes(bytes.subarray(0, at), added, rest);
    }
  }
  return bytes;
}

const PIECES = [
  '',
  ':',
  ',',
  ';',
  '@',
  '#',
  '%',
  '=',
  '-',
  '_',
  '\n',
  '- ',
  '  ',
  '"',
  "'",
  '0',
  '9',
  'kb',
  '[',
  ']',
];
const ODD = [
  '\0',
  '\ud800',
  'é',
  '😀',
  '\u202e',
  '%ZZ',
  '%80',
  '&a',
  '*a',
  '!!',
  '|',
  '{',
  '}',
  '__proto__',
  '1e9',
];

function mutateText(sample: string): string {
  let text = sample;
  for (let edits = 1 + random(4); edits > 0; edits--) {
    const at = random(text.length + 1);
    const added = pick([
      pick(PIECES),
      pick(ODD),
      String.fromCharCode(random(128)),
      text.slice(at, at + random(20)),
    ]);
    text = text.slice(0, at) + added + text.slice(at + random(4));
  }
  return text;
}

function randomText(): string {
  const unit = random(3);
  return Array.from({ length: random(60) }, () =>
    unit === 0 ? pick([...PIECES, ...ODD]) : String.fromCharCode(unit === 1 ? random(128) : random(65536)),
  ).join('');
}

/** Whole blocks cost time, so most mutations keep to the content and are padded again. */
function mutateBlock(block: Uint8Array): Uint8Array {
  if (random(8) === 0) return mutateBytes(block);
  return pad(mutateBytes(unpad(block)).subarray(0, 16382));
}

function randomBlock(): Uint8Array {
  if (random(8) === 0) return randomBytes(random(200));
  const content = randomBytes(random(200));
  const block = pad(content);
  if (random(4) === 0) block[0] = random(256);
  return block;
}

const handshakes = join(import.meta.dirname, '../vectors/handshake');
const blocks = readdirSync(handshakes)
  .filter((name) => name.endsWith('.block'))
  .map((name) => ({ name, block: new Uint8Array(readFileSync(join(handshakes, name))) }));
const blocksNamed = (pattern: RegExp): Uint8Array[] =>
  blocks.filter(({ name }) => pattern.test(name)).map(({ block }) => block);

const spki = (['ed25519', 'ed448', 'x25519'] as const).map((algorithm) =>
  encodePublicKey({ algorithm, raw: randomBytes(algorithm === 'ed448' ? 57 : 32) }),
);
const pkcs8 = (['ed25519', 'ed448', 'x25519'] as const).map((algorithm) =>
  encodePrivateKey({ algorithm, raw: randomBytes(algorithm === 'ed448' ? 57 : 32) }),
);
const [ed25519 = new Uint8Array(), ed448 = new Uint8Array(), x25519 = new Uint8Array()] = spki;
const digest = randomBytes(32);
const commands = [
  { type: 'FNEW', senderKey: ed25519, size: 65536, digest, recipientKeys: [ed448, x25519] },
  { type: 'FNEW', senderKey: ed448, size: 1, digest, recipientKeys: [ed25519], password: encodeUtf8('pass') },
  { type: 'FADD', recipientKeys: spki },
  { type: 'FGET', key: x25519 },
  { type: 'FPUT' },
  { type: 'FDEL' },
  { type: 'FACK' },
  { type: 'PING' },
] as const;
const errors = [
  'AUTH',
  'CMD SYNTAX',
  'CMD NO_QUEUE',
  'BLOCKED reason=spam,notice={"ttl":60}',
  'BLOCKED reason=content',
];
const responses = [
  { type: 'SIDS', senderId: randomBytes(16), recipientIds: [randomBytes(16), randomBytes(16)] },
  { type: 'RIDS', recipientIds: [randomBytes(16)] },
  { type: 'FILE', key: x25519, nonce: randomBytes(24) },
  { type: 'OK' },
  { type: 'PONG' },
  ...errors.map((text) => ({ type: 'ERR', error: parseWireError(text) }) as const),
] as const;
const commandBytes = commands.map(encodeCommand);
const responseBytes = responses.map(encodeResponse);
const transmissions = [...commandBytes, ...responseBytes].map((command) =>
  encodeTransmission(
    { sessionId: randomBytes(32), correlationId: randomBytes(3), entityId: randomBytes(16), command },
    () => randomBytes(64),
  ),
);
const address = 'xftp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=:pass@example.com,[::1],1.2.3.4:5443';
const onion = `xftp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=@${'a'.repeat(56)}.onion`;
const uri = formatDescriptionUri(parseDescription(minimal), { data: '{"sndMsgId":1}' });
const fragment = encodeWebFragment(parseDescription(minimal));
const links = [uri, recordedRedirectLink, ...recordedWebLinks.map(({ link }) => link)];

/** What may come of a case; `undefined` only where the decoder says so. */
type Outcome = 'value' | 'failure' | 'undefined';

interface Decoder<T> {
  readonly name: string;
  readonly decode: (input: T) => unknown;
  readonly samples: readonly T[];
  readonly cases: number;
  /** Whether it says that it may give undefined, or that it never throws. */
  readonly may?: Outcome;
}

const CASES = 5000;

const blockDecoders: readonly Decoder<Uint8Array>[] = [
  { name: 'unpad', decode: unpad, samples: transmissions, cases: CASES },
  {
    name: 'a server hello',
    decode: decodeServerHello,
    samples: blocksNamed(/server-hello|http11/),
    cases: CASES,
  },
  {
    name: 'a web hello',
    decode: decodeWebHello,
    samples: [pad(Uint8Array.of(0x31, 32, ...digest)), pad(Uint8Array.of(0x30))],
    cases: CASES,
    may: 'undefined',
  },
  {
    name: 'a client handshake',
    decode: decodeClientHandshake,
    samples: [encodeClientHandshake({ version: 3, keyHash: digest })],
    cases: CASES,
  },
  {
    name: 'a transmission',
    decode: decodeTransmission,
    samples: [...transmissions, ...blocksNamed(/ping|pong|short|unknown|noalpn/)],
    cases: 2 * CASES,
  },
  {
    name: 'a bare error',
    decode: decodeBareError,
    samples: [
      ...errors.map((text) => encodeBareError(parseWireError(text))),
      ...blocksNamed(/wrong|without/),
    ],
    cases: CASES,
    may: 'undefined',
  },
];

const byteDecoders: readonly Decoder<Uint8Array>[] = [
  { name: 'a command', decode: decodeCommand, samples: commandBytes, cases: 3 * CASES },
  { name: 'a response', decode: decodeResponse, samples: responseBytes, cases: 3 * CASES },
  { name: 'a public key', decode: decodePublicKey, samples: spki, cases: CASES },
  { name: 'a private key', decode: decodePrivateKey, samples: pkcs8, cases: CASES },
  {
    name: 'a file header',
    decode: decodePlaintextPrefix,
    samples: [
      encodePlaintextPrefix({ name: 'photo of café.jpg' }, 1000),
      encodePlaintextPrefix({ name: '', extra: 'more' }, 0),
    ],
    cases: CASES,
  },
];

const textDecoders: readonly Decoder<string>[] = [
  { name: 'a wire error', decode: parseWireError, samples: errors, cases: CASES },
  {
    name: 'blocking info',
    decode: parseBlockingInfo,
    samples: ['reason=spam,notice={"ttl":86400}', 'reason=content', 'reason=spam,notice={}'],
    cases: CASES,
  },
  { name: 'base64url', decode: decodeBase64Url, samples: ['AAEC', 'AQ==', 'LcJUMfVhwD8yxjAi'], cases: CASES },
  { name: 'a size text', decode: parseSizeText, samples: ['500', '2kb', '26mb', '1gb'], cases: CASES },
  { name: 'a host', decode: parseHost, samples: ['example.com', '::1', '[::1]', '1.2.3.4'], cases: CASES },
  { name: 'a server address', decode: parseServerAddress, samples: [address, onion], cases: CASES },
  { name: 'a server list', decode: parseServerList, samples: [`${address};${onion}`], cases: CASES },
  {
    name: 'a description',
    decode: (text) => parseDescription(text),
    samples: [minimal, fixture],
    cases: 1000,
  },
  { name: 'a description URI', decode: parseDescriptionUri, samples: [uri], cases: 1000 },
  { name: 'a web fragment', decode: decodeWebFragment, samples: [fragment], cases: 1000 },
  { name: 'a link', decode: parseLink, samples: links, cases: 1000 },
];

let cases = 0;

/** Counts the outcomes of a decoder, and fails on any that is not allowed. */
function run<T>({ decode, samples, may }: Decoder<T>, input: T, times: Record<Outcome, number>): void {
  cases += 1;
  const start = process.cpuUsage();
  let outcome: Outcome = 'value';
  try {
    if (decode(input) === undefined) outcome = 'undefined';
  } catch (error) {
    if (!(error instanceof XftpError) || !/^[A-Z\d].*\.$/s.test(error.message))
      throw new Error(`Not a proper failure, for ${describeInput(input)}`, { cause: error });
    outcome = 'failure';
  }
  if (outcome === 'undefined' && may !== 'undefined')
    throw new Error(`Undefined, for ${describeInput(input)}`);
  if (process.cpuUsage(start).user / 1000 > LONG_MS) throw new Error(`Too slow, for ${describeInput(input)}`);
  times[outcome] += 1;
  if (samples.length === 0) throw new Error('There are no samples to mutate.');
}

function describeInput(input: unknown): string {
  return input instanceof Uint8Array
    ? Buffer.from(input).toString('hex').slice(0, 600)
    : JSON.stringify(input);
}

function fuzz<T>(decoder: Decoder<T>, random: () => T, mutate: (sample: T) => T): void {
  const times = { value: 0, failure: 0, undefined: 0 };
  for (const sample of decoder.samples) run(decoder, sample, times);
  for (let index = 0; index < decoder.cases; index++)
    run(decoder, index % 4 === 0 ? random() : mutate(pick(decoder.samples)), times);
  // Mutations must reach both the good end and the bad ends, or they prove little.
  expect(times.value).toBeGreaterThan(0);
}

const anyBytes = (): Uint8Array => randomBytes(random(120));

it.each(blockDecoders)('$name: any block gives a value or a failure', (decoder) => {
  fuzz(decoder, randomBlock, mutateBlock);
});

it.each(byteDecoders)('$name: any bytes give a value or a failure', (decoder) => {
  fuzz(decoder, anyBytes, mutateBytes);
});

it.each(textDecoders)('$name: any text gives a value or a failure', (decoder) => {
  fuzz(decoder, randomText, mutateText);
});

it('a description inside any mutated DEFLATE stream gives a value or a failure', () => {
  const packed = decodeBase64Url(fragment);
  const decoder = { decode: decodeWebFragment, samples: [fragment], cases: 1000, name: '' };
  fuzz(
    decoder,
    () => Buffer.from(anyBytes()).toString('base64url'),
    () => Buffer.from(mutateBytes(packed)).toString('base64url'),
  );
});

it('text in bytes that are not UTF-8 is never an error', () => {
  for (let index = 0; index < 1000; index++) expect(typeof decodeUtf8(anyBytes())).toBe('string');
});

afterAll(() => {
  expect(cases).toBeGreaterThan(MIN_CASES);
});
