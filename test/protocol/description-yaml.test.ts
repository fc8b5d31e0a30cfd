import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { formatDescription, parseDescription } from '#src/protocol/description-yaml.js';
import {
  type FileDescription,
  validateDescription,
  validateLengths,
} from '#src/protocol/file-description.js';
import { formatYamlText } from '#src/protocol/yaml-text.js';
import {
  BRIEFLY,
  fileDescription,
  fixture,
  minimal,
  MINIMAL_SHA256,
  recordedDescriptions,
} from './description-samples.js';

const LAX = { checkLengths: false } as const;

const problem = (text: string): string => {
  try {
    parseDescription(text, LAX);
  } catch (error) {
    expect(error).toMatchObject({ code: 'INVALID_DESCRIPTION' });
    return error instanceof Error ? error.message : '';
  }
  return 'none';
};

describe('a file description', () => {
  it.each(recordedDescriptions)('$name comes out byte for byte as the reference wrote it', ({ yaml }) => {
    expect(formatDescription(parseDescription(yaml))).toBe(yaml);
  });

  it("survives as the reference's round-trip fixture", () => {
    const description = parseDescription(fixture, LAX);
    expect(formatDescription(description)).toBe(fixture);
    expect(description.chunks.map(({ size }) => size / 1048576)).toEqual([8, 8, 8, 2]);
    expect(description.chunks.every(({ replicas }) => replicas.length === 2)).toBe(true);
  });

  it('survives as the minimal description with the known digest', () => {
    const yaml = formatDescription(parseDescription(minimal));
    expect(createHash('sha256').update(yaml).digest('hex')).toBe(MINIMAL_SHA256);
  });

  it('survives writing and reading, and is written the same again', () => {
    fc.assert(
      fc.property(fileDescription, (description) => {
        const yaml = formatDescription(description);
        const read = parseDescription(yaml);
        expect(formatDescription(read)).toBe(yaml);
        // Later replicas of a chunk come back in the order of their servers.
        expect({
          ...read,
          chunks: read.chunks.map(({ replicas: [first], ...chunk }) => ({ ...chunk, first })),
        }).toEqual({
          ...description,
          chunks: description.chunks.map(({ replicas: [first], ...chunk }) => ({ ...chunk, first })),
        });
      }),
      { ...BRIEFLY, numRuns: 300 },
    );
  });

  it('is plain YAML to any parser, with sizes as strings and a redirect size as number', () => {
    const redirect = { size: 18874368, digest: new Uint8Array(64).fill(0xee) };
    const yaml = formatDescription({ ...parseDescription(minimal), redirect });
    expect(yaml).toContain(`party: recipient
redirect:
  digest: 7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7g==
  size: 18874368
replicas:
`);
    expect(parse(yaml)).toMatchObject({ size: '64kb', redirect: { size: 18874368 } });
    expect(parseDescription(yaml).redirect).toEqual(redirect);
  });

  it('has quotes around sizes that are not multiples of 1024', () => {
    const yaml = fixture.replace(/8mb/, '70001').replace(/:2mb/, ':70000').replace('26mb', '280003');
    const written = formatDescription(parseDescription(yaml, LAX));
    expect(written).toContain("chunkSize: '70001'\n");
    expect(written).toContain("size: '280003'\n");
  });

  it('puts the replica with the digest first, as the sender had it', () => {
    const yaml = minimal.replace(
      '- chunks:',
      `- chunks:\n  - 1:BBBB:MC4CAQAwBQYDK2VwBCIEIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\n  server: xftp://AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=@1.2.3.4\n- chunks:`,
    );
    const [chunk] = parseDescription(yaml).chunks;
    expect(chunk?.replicas.map(({ server }) => server.hosts[0].text)).toEqual(['example.com', '1.2.3.4']);
    expect(formatDescription(parseDescription(yaml))).toBe(yaml);
  });
});

describe('quoting', () => {
  it.each([
    '',
    '~',
    '*',
    '70001',
    '-1',
    '1e5',
    '1.5',
    '0x1F',
    '0o17',
    'y',
    'No',
    'TRUE',
    'null',
    '---',
    '---abc',
    'xftp://a@::',
    '12345678901234567890123456789012',
  ])('is done for %j', (text) => {
    expect(formatYamlText(text)).toBe(`'${text}'`);
    expect(parse(formatYamlText(text))).toBe(text);
  });

  it.each(['1kb', 'AgICAgICAg==', '-abc', '--abc', '1e', '0xg', 'nO', 'nulL', '1:AQID:abc', 'xftp://a=@b:1'])(
    'is not done for %j',
    (text) => {
      expect(formatYamlText(text)).toBe(text);
    },
  );
});

describe('reading a description', () => {
  it.each([
    ['CRLF line ends', minimal.replaceAll('\n', '\r\n')],
    ['a byte order mark', `\ufeff${minimal}`],
    ['document markers and comments', `%YAML 1.1\n---\n# x\n${minimal}...\n`],
    ['the separator of reference programs', `${'#'.repeat(32)}\n${minimal}`],
    ['JSON', JSON.stringify(parse(minimal))],
    [
      'other YAML styles',
      stringify(parse(minimal), { indentSeq: true, defaultStringType: 'QUOTE_SINGLE', lineWidth: 30 }),
    ],
    ['unpadded base64url', minimal.replaceAll(/=+\n/g, '\n')],
    ['unknown fields', `${minimal}future: {a: [1, 2]}\n`],
    ['an empty redirect', `${minimal}redirect: null\n`],
    ['aliases', minimal.replace('64kb', '&s 64kb').replace(/64kb\n$/, '*s')],
    ['a repeated replica', minimal.replace(/( {2}- 1.*\n)/, '$1$1')],
    ['the default size repeated', minimal.replace('c0=\n', 'c0=:65536\n')],
  ])('tolerates %s', (_, text) => {
    expect(formatDescription(parseDescription(text))).toBe(minimal);
  });

  it('tolerates any ends of lines', () => {
    for (const end of ['\r', '\r\n'])
      expect(parseDescription(minimal.replaceAll('\n', end))).toEqual(parseDescription(minimal));
  });

  it('tolerates sizes that are numbers', () => {
    const yaml = minimal
      .replace('chunkSize: 64kb', 'chunkSize: 65536')
      .replace(/size: 64kb\n$/, 'size: 65536\n');
    expect(formatDescription(parseDescription(yaml))).toBe(minimal);
  });

  it('fills up short nonces with zeros and cuts long ones', () => {
    const nonce = (text: string): Uint8Array =>
      parseDescription(minimal.replace(/nonce: .*/, `nonce: ${text}`)).nonce;
    expect(nonce('AQID')).toEqual(Uint8Array.of(1, 2, 3, ...new Uint8Array(21)));
    expect(nonce('AgIC'.repeat(9))).toEqual(new Uint8Array(24).fill(2));
  });

  it.each([
    ['', 'mapping'],
    ['text', 'mapping'],
    ['- a', 'mapping'],
    ['a: [', 'YAML'],
    [`${minimal}---\n${minimal}`, 'YAML'],
    [minimal.replace('chunkSize: 64kb', 'chunkSize: [64kb]'), 'chunkSize'],
    [minimal.replace('chunkSize', 'chunksize'), 'chunkSize'],
    [minimal.replace('64kb', '64KB'), 'chunkSize'],
    [minimal.replace('64kb', '0'), 'chunkSize'],
    [minimal.replace(/^digest.*\n/m, ''), 'digest'],
    [minimal.replace('key: AQ', 'key: !Q'), 'key'],
    [minimal.replace('key: AQEB', 'key: '), 'key'],
    [minimal.replace(/nonce.*\n/, ''), 'nonce'],
    [minimal.replace('recipient', 'Recipient'), 'party'],
    [minimal.replace(/size: 64kb\n$/, ''), 'size'],
    [minimal.replace(/size: 64kb\n$/, 'size: 65kb\n'), 'chunks together'],
    [minimal.replace(/replicas:[^]*\nsize/, 'replicas: x\nsize'), 'replicas'],
    [minimal.replace(/replicas:[^]*\nsize.*/, 'replicas: []\nsize: "0"'), 'no chunks'],
    [minimal.replace(/ {2}server.*\n/, ''), 'server'],
    [minimal.replace('example.com', 'exa mple'), 'server'],
    [minimal.replace('=@example', '=:password@example'), 'password'],
    [minimal.replace(/(- chunks):[^]* {2}server/, '$1: x\n  server'), 'sequence of chunks'],
    [minimal.replace('  - 1:', '  - '), 'chunk 1 in entry 1'],
    [minimal.replace('  - 1:', '  - {}\n  - 1:'), 'chunk 1 in entry 1'],
    [minimal.replace('  - 1:', '  - 2:'), 'chunk 1 is missing'],
    [minimal.replace('  - 1:', '  - 0:'), 'chunk 1 is missing'],
    [minimal.replace('  - 1:', '  - 1111111111:'), 'chunk 1 in entry 1'],
    [minimal.replace(/:zc3N.*/, ''), 'no digest of chunk 1'],
    [minimal.replace('MC4CAQ', 'MC4CAA'), 'key of chunk 1'],
    [minimal.replace('1:AQID', `1:${'AAAA'.repeat(86)}`), 'ID of chunk 1'],
    [minimal.replace(/( {2}- 1:.*)zc0=\n/, '$1zc0=\n$1AAA=\n'), 'digests of chunk 1 differ'],
    [minimal.replace(/( {2}- 1:.*)\n/, '$1:64kb\n$1:1mb\n'), 'sizes of chunk 1 differ'],
    [minimal.replace('zc0=\n', 'zc0=:4gb\n'), 'size of chunk 1'],
    [`${minimal}redirect: x\n`, 'redirect'],
    [`${minimal}redirect: {size: 1}\n`, 'digest'],
    [`${minimal}redirect: {size: 0, digest: AAAA}\n`, 'redirect'],
  ])('refuses %j, naming %s', (text, name) => {
    expect(problem(text)).toContain(name);
  });

  it('refuses what cannot be used for a download unless that is asked for', () => {
    for (const [text, name] of [
      [fixture, 'digest'],
      [minimal.replace(/zc3N.*/, 'Z2hp'), 'digest of chunk 1'],
      [minimal.replace(/xftp:\/\/AAAA/, 'xftp://'), 'fingerprint'],
      [minimal.replaceAll('64kb', '8mb'), 'chunk 1 is larger'],
      [`${minimal}redirect: {size: 1, digest: AAAA}\n`, 'redirect'],
    ] as const) {
      const read = parseDescription(text, LAX);
      expect(() => parseDescription(text)).toThrow(name);
      expect(() => {
        validateLengths(read);
      }).toThrow(expect.objectContaining({ code: 'INVALID_DESCRIPTION' }));
    }
  });
});

describe('a description that does not validate', () => {
  const good = parseDescription(minimal);
  const [chunk] = good.chunks;
  const withReplicas = (replicas: FileDescription['chunks'][number]['replicas']): FileDescription => ({
    ...good,
    chunks: chunk === undefined ? [] : [{ ...chunk, replicas }],
  });
  const replica = chunk?.replicas[0];

  it('is not written', () => {
    for (const bad of [
      { ...good, key: new Uint8Array(31) },
      { ...good, nonce: new Uint8Array(23) },
      { ...good, chunks: [] },
      { ...good, size: NaN },
      { ...good, chunkSize: 0.5 },
      withReplicas([]),
      withReplicas(
        replica === undefined ? [] : [{ ...replica, server: { ...replica.server, password: 'secret' } }],
      ),
    ]) {
      expect(() => formatDescription(bad)).toThrow(expect.objectContaining({ code: 'INVALID_DESCRIPTION' }));
      expect(() => {
        validateDescription(bad);
      }).toThrow(expect.objectContaining({ code: 'INVALID_DESCRIPTION' }));
    }
  });
});
