import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { XftpError } from '#src/protocol/failure.js';
import { formatIpv6, parseIpv6 } from '#src/protocol/ip-address.js';
import {
  compareServers,
  formatServerAddress,
  parseServerAddress,
  parseServerList,
  PRESET_SERVERS,
  requireFullFingerprint,
  requireServerPassword,
  sameServer,
  serverPort,
} from '#src/protocol/server-address.js';
import { BRIEFLY, mutated, parseOrFailure, serverAddress } from './description-samples.js';

const FINGERPRINT = 'LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=';

const at = (hosts: string): string => `xftp://${FINGERPRINT}@${hosts}`;

const failure = (text: string): XftpError => {
  const result = parseOrFailure(() => parseServerAddress(text));
  if (result instanceof XftpError) return result;
  throw new Error(`${text} was read`);
};

describe('a server address', () => {
  it('has the parts that it names', () => {
    const text = `xftp://${FINGERPRINT}:s3cret;,pass@relay.example,1.2.3.4,${'a'.repeat(56)}.onion:5443`;
    const address = parseServerAddress(text);
    expect(address).toMatchObject({
      password: 's3cret;,pass',
      hosts: [
        { kind: 'domain', text: 'relay.example' },
        { kind: 'ipv4', text: '1.2.3.4' },
        { kind: 'onion', text: `${'a'.repeat(56)}.onion` },
      ],
      port: 5443,
    });
    expect(address.fingerprint).toHaveLength(32);
    expect(formatServerAddress(address, { withPassword: true })).toBe(text);
    expect(formatServerAddress(address)).toBe(text.replace(':s3cret;,pass', ''));
  });

  it('means port 443 when it names none, and keeps a written 443', () => {
    expect(serverPort(parseServerAddress(at('example.com')))).toBe(443);
    expect(formatServerAddress(parseServerAddress(at('example.com')))).toBe(at('example.com'));
    expect(formatServerAddress(parseServerAddress(at('example.com:443')))).toBe(at('example.com:443'));
  });

  it('may have a fingerprint without padding', () => {
    const text = at('localhost').replace('=', '');
    expect(formatServerAddress(parseServerAddress(text))).toBe(at('localhost'));
  });

  it('has a fingerprint of 32 bytes unless any length is asked for', () => {
    const text = 'xftp://abc=@example1.com';
    expect(failure(text).message).toContain('fingerprint');
    const address = parseServerAddress(text, { checkFingerprint: false });
    expect(formatServerAddress(address)).toBe(text);
    expect(() => {
      requireFullFingerprint(address);
    }).toThrow(expect.objectContaining({ code: 'INVALID_ADDRESS' }));
  });

  it.each([
    ['[::1]', '::1', undefined],
    ['::1', '::1', undefined],
    ['[::1]:5443', '::1', 5443],
    ['fe80::1:5443', 'fe80::1:5443', undefined],
    ['1:2:3:4:5:6:7:8:443', '1:2:3:4:5:6:7:8', 443],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1', undefined],
    ['[1:0:3:4:5:6:7:8]', '1:0:3:4:5:6:7:8', undefined],
    ['::ffff:102:304', '::ffff:1.2.3.4', undefined],
    ['127.0.0.01', '127.0.0.1', undefined],
  ])('reads the host %s as %s with port %s', (hosts, text, port) => {
    const address = parseServerAddress(at(hosts));
    expect(address.hosts).toEqual([expect.objectContaining({ text })]);
    expect(address.port).toBe(port);
  });

  it('writes IPv6 hosts bare, in brackets only where a port follows', () => {
    const written = (hosts: string): string => formatServerAddress(parseServerAddress(at(hosts)));
    expect(written('[::1]')).toBe(at('::1'));
    expect(written('[::1],[::2]:5443')).toBe(at('::1,[::2]:5443'));
  });

  it.each([
    ['', 'begin'],
    ['https://a@b', 'begin'],
    ['XFTP://a@b', 'begin'],
    [`xftp://${FINGERPRINT}`, '@'],
    ['xftp://@example.com', 'fingerprint'],
    ['xftp://!!!!@example.com', 'fingerprint'],
    [`xftp://${FINGERPRINT}:@example.com`, 'password'],
    [`xftp://${FINGERPRINT}:a b@example.com`, 'password'],
    [`xftp://${FINGERPRINT}:${'x'.repeat(256)}@example.com`, 'password'],
    [`xftp://${FINGERPRINT}:a:b@example.com`, 'colon'],
    [at(''), 'its host cannot be used'],
    [at('a,,b'), 'its host 2 '],
    [at('h1:5000,h2'), 'its host 1 '],
    [at('a:0'), 'port'],
    [at('a:65536'), 'port'],
    [at('a:'), 'port'],
    [at('a:4x'), 'port'],
    [at('a/'), 'its host '],
    [at('a b'), 'its host '],
    [at('a\u001b[2J'), 'its host '],
    [at('256.1.1.1'), 'IPv4'],
    [at('1.2.3'), 'IPv4'],
    [at('[1.2.3.4]'), 'IPv6'],
    [at('[::1'), 'its host '],
    [at('1::2::3'), 'its host '],
    [at('[::1%eth0]'), 'IPv6'],
    [at('a.b.onion'), 'onion'],
    [at('abc.onion.'), 'onion'],
    [at('x'.repeat(254)), 'too long'],
    [at('a,'.repeat(2000)), 'longer'],
  ])('is refused when it is %j, with a word about the %s', (text, word) => {
    expect(failure(text)).toMatchObject({ code: 'INVALID_ADDRESS', message: expect.stringContaining(word) });
  });

  it.each(['', 'hunter2 ', 'hunter2@', 'hunter2/', 'hunter2:', `hunter2${'x'.repeat(249)}`])(
    'cannot have the password %j, which its failure does not tell',
    (password) => {
      const check = (): void => {
        requireServerPassword(password);
      };
      expect(check).toThrow(expect.objectContaining({ code: 'INVALID_ADDRESS' }));
      expect(check).not.toThrow('hunter2');
      requireServerPassword('x'.repeat(255));
    },
  );

  it('never has its password in a failure', () => {
    for (const text of [
      `xftp://abc:hunter2@example.com`,
      `xftp://${FINGERPRINT}:hunter2@`,
      `xftp://${FINGERPRINT}:hunter2 @example.com`,
      `xftp://${FINGERPRINT}:x@hunter2@example.com`,
      `xftp://${FINGERPRINT}:x/hunter2@example.com`,
      `xftp://${FINGERPRINT}:x:hunter2@example.com`,
    ])
      for (let error: unknown = failure(text); error instanceof Error; error = error.cause)
        expect(error.message).not.toContain('hunter2');
  });

  it('survives writing and reading', () => {
    fc.assert(
      fc.property(serverAddress, (address) => {
        expect(parseServerAddress(formatServerAddress(address))).toEqual(address);
      }),
      { ...BRIEFLY, numRuns: 300 },
    );
  });

  it('gives an address or a failure for any text', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.stringMatching(/^[a1:.,[\]]{0,30}$/).map(at),
      mutated(at('relay.example,[::1],1.2.3.4:5443')),
    );
    fc.assert(
      fc.property(text, (mutation) => {
        const address = parseOrFailure(() => parseServerAddress(mutation));
        if (address instanceof XftpError) expect(address.code).toBe('INVALID_ADDRESS');
        else
          expect(parseServerAddress(formatServerAddress(address, { withPassword: true }))).toEqual(address);
      }),
      BRIEFLY,
    );
  });
});

describe('a list of server addresses', () => {
  it('is separated by semicolons, with blanks and empty places', () => {
    const list = ` ${at('a')} ;;\n${at('b:1')}; `;
    expect(parseServerList(list).map((address) => formatServerAddress(address))).toEqual([
      at('a'),
      at('b:1'),
    ]);
    expect(parseServerList(' ; ')).toEqual([]);
  });

  it('may have passwords with semicolons', () => {
    const list = parseServerList(`xftp://${FINGERPRINT}:a;b@example.com;${at('c')}`);
    expect(list.map(({ password }) => password)).toEqual(['a;b', undefined]);
  });

  it('is refused with the number of the wrong address', () => {
    expect(() => parseServerList(`${at('a')};xftp://b`)).toThrow(
      /^Server address 2 of the list is wrong: there is no @ .*\.$/,
    );
  });

  it('of one address is refused as that address would be', () => {
    expect(() => parseServerList('xftp://b')).toThrow(/^A server address is wrong: there is no @ .*\.$/);
  });

  it('has the six presets of the reference, each with an onion host', () => {
    expect(PRESET_SERVERS).toHaveLength(6);
    for (const { hosts } of PRESET_SERVERS)
      expect(hosts.map(({ kind }) => kind)).toEqual(['domain', 'onion']);
  });
});

describe('servers in a description', () => {
  const other = at('a').replace('Lc', 'Ld');
  const sorted = [
    at('2.0.0.1'),
    at('10.0.0.1'),
    at('::2'),
    at('::10'),
    at(`${'b'.repeat(56)}.onion`),
    at('a'),
    other,
    at('a:443'),
    at('a:5443'),
    at('a:80'),
    at('a,b'),
    at('b'),
  ].map((text) => parseServerAddress(text));

  it('are sorted by hosts, port text and fingerprint', () => {
    expect(sorted.toReversed().sort(compareServers)).toEqual(sorted);
  });

  it('are the same exactly if nothing tells them apart', () => {
    for (const [index, a] of sorted.entries())
      for (const [otherIndex, b] of sorted.entries()) {
        expect(sameServer(a, b)).toBe(index === otherIndex);
        expect(Math.sign(compareServers(a, b))).toBe(Math.sign(index - otherIndex));
      }
    expect(sameServer(parseServerAddress(`xftp://${FINGERPRINT}:x@a`), parseServerAddress(at('a')))).toBe(
      true,
    );
  });
});

describe('IPv6 addresses', () => {
  it('survive writing and reading', () => {
    const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        expect(parseIpv6(formatIpv6(groups))).toEqual(groups);
      }),
      BRIEFLY,
    );
  });
});
