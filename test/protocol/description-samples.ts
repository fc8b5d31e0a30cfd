import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import type { FileDescription } from '#src/protocol/file-description.js';
import { XftpError } from '#src/protocol/failure.js';
import { type Host, parseHost } from '#src/protocol/host.js';
import { encodePrivateKey } from '#src/protocol/key-encoding.js';
import type { ServerAddress } from '#src/protocol/server-address.js';

const VECTORS = join(import.meta.dirname, '../vectors');
const FILES = join(VECTORS, 'files');

/** Every description that the reference command line wrote. */
export const recordedDescriptions = readdirSync(FILES).flatMap((folder) =>
  readdirSync(join(FILES, folder))
    .filter((name) => name.includes('.xftp'))
    .map((name) => ({ name: `${folder}/${name}`, yaml: readFileSync(join(FILES, folder, name), 'utf8') })),
);

/** Every web link that it printed, with the description that it carries. */
export const recordedWebLinks = readdirSync(FILES)
  .filter((folder) => readdirSync(join(FILES, folder)).includes('web-link.txt'))
  .map((folder) => ({
    name: folder,
    link: readFileSync(join(FILES, folder, 'web-link.txt'), 'utf8'),
    yaml: readFileSync(join(FILES, folder, 'rcv1.xftp'), 'utf8'),
  }));

/** The link that the reference browser client made. */
export const recordedRedirectLink = readFileSync(join(VECTORS, 'web-redirect/web-link.txt'), 'utf8');

const REPLICA_KEY = 'MC4CAQAwBQYDK2VwBCIEIDfEfevydXXfKajz3sRkcQ7RPvfWUPoq6pu1TYHV1DEe';

/** The round-trip fixture of the protocol reference, section 8.4. */
export const fixture = `chunkSize: 8mb
digest: YWJj
key: 00n8p1tJq5E-SGnHcYTOrS4A9I07gTA_WFD6MTFFFOY=
nonce: dPSF-wrQpDiK_K6sYv0BDBZ9S4dg-jmu
party: recipient
replicas:
- chunks:
  - 1:YWJj:${REPLICA_KEY}:Z2hp
  - 3:YWJj:${REPLICA_KEY}:Z2hp
  server: xftp://abc=@example1.com
- chunks:
  - 2:YWJj:${REPLICA_KEY}:Z2hp
  - 4:YWJj:${REPLICA_KEY}:Z2hp:2mb
  server: xftp://abc=@example2.com
- chunks:
  - 1:YWJj:${REPLICA_KEY}
  - 4:YWJj:${REPLICA_KEY}
  server: xftp://abc=@example3.com
- chunks:
  - 2:YWJj:${REPLICA_KEY}
  - 3:YWJj:${REPLICA_KEY}
  server: xftp://abc=@example4.com
size: 26mb
`;

/** The minimal description of section 14.7. */
export const minimal = `chunkSize: 64kb
digest: q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urqw==
key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
nonce: AgICAgICAgICAgICAgICAgICAgICAgIC
party: recipient
replicas:
- chunks:
  - 1:AQID:MC4CAQAwBQYDK2VwBCIEIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g:zc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc0=
  server: xftp://AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=@example.com:443
size: 64kb
`;

export const MINIMAL_SHA256 = 'a051bad479e8af8955d85469cebf7ac170b2bb32ad6b77c76adce49bb9bb7c1b';

/** Ends a property after a second, whatever number of runs it got to. */
export const BRIEFLY = { interruptAfterTimeLimit: 1000, numRuns: 2000 } as const;

/** Runs `parse`; whatever else it throws than a failure of the project is thrown on. */
export function parseOrFailure<T>(parse: () => T): T | XftpError {
  try {
    return parse();
  } catch (error) {
    if (error instanceof XftpError && /^[A-Z].*\.$/s.test(error.message)) return error;
    throw error;
  }
}

/** The same text with a few characters removed, replaced or doubled. */
export function mutated(original: string): fc.Arbitrary<string> {
  const edit = fc.tuple(
    fc.nat(original.length),
    fc.nat(3),
    fc.oneof(
      fc.string({ maxLength: 3, unit: 'binary' }),
      fc.constantFrom('\n', '  ', '- ', ':', '\r', "'", '&a ', '*a'),
    ),
  );
  return fc
    .array(edit, { minLength: 1, maxLength: 4 })
    .map((edits) =>
      edits.reduce(
        (text, [at, removed, added]) => text.slice(0, at) + added + text.slice(at + removed),
        original,
      ),
    );
}

const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });

const host: fc.Arbitrary<Host> = fc
  .oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.domain(),
    fc.stringMatching(/^[a-z2-7]{56}\.onion$/),
    fc.constantFrom('localhost', 'bücher.example', 'xn--bcher-kva.example', '::', '::ffff:1.2.3.4'),
  )
  .map(parseHost);

/** Any address that can be written, without a password. */
export const serverAddress: fc.Arbitrary<ServerAddress> = fc
  .tuple(bytes(32), host, fc.array(host, { maxLength: 2 }), fc.option(fc.integer({ min: 1, max: 65535 })))
  .map(([fingerprint, first, others, port]) => ({
    fingerprint,
    hosts: [first, ...others] as const,
    ...(port === null ? {} : { port }),
  }));

const privateKey = bytes(32).map((raw) => encodePrivateKey({ algorithm: 'ed25519', raw }));

/** Any valid description, with a few servers and up to three replicas of each chunk. */
export const fileDescription: fc.Arbitrary<FileDescription> = fc
  .array(serverAddress, { minLength: 1, maxLength: 3 })
  .chain((servers) => {
    const replica = fc.record({ server: fc.constantFrom(...servers), id: bytes(24), key: privateKey });
    const chunk = fc.record({
      size: fc.oneof(fc.constantFrom(65536, 262144, 1048576, 4194304), fc.integer({ min: 1, max: 4194304 })),
      digest: bytes(32),
      replicas: fc.array(replica, { minLength: 1, maxLength: 3 }),
    });
    return fc.record({
      party: fc.constantFrom('recipient', 'sender'),
      digest: bytes(64),
      key: bytes(32),
      nonce: bytes(24),
      chunkSize: fc.constantFrom(65536, 4194304, 70001),
      chunks: fc
        .array(chunk, { minLength: 1, maxLength: 5 })
        .map((chunks) => chunks.map((fields, index) => ({ number: index + 1, ...fields }))),
      redirect: fc.option(fc.record({ size: fc.integer({ min: 1, max: 2 ** 40 }), digest: bytes(64) })),
    });
  })
  .map(({ redirect, ...fields }) => ({
    ...fields,
    size: fields.chunks.reduce((sum, { size }) => sum + size, 0),
    ...(redirect === null ? {} : { redirect }),
  }));
