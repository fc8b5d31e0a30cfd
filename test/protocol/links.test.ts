import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeBase64Url } from '#src/protocol/base64url.js';
import { inflateRaw } from '#src/protocol/deflate.js';
import { formatDescription, parseDescription } from '#src/protocol/description-yaml.js';
import { XftpError } from '#src/protocol/failure.js';
import {
  decodeWebFragment,
  encodeWebFragment,
  formatDescriptionUri,
  formatWebLink,
  parseDescriptionUri,
  parseLink,
  QR_LINK_LIMIT,
  webLinkOf,
} from '#src/protocol/links.js';
import {
  BRIEFLY,
  fileDescription,
  minimal,
  mutated,
  parseOrFailure,
  recordedDescriptions,
  recordedRedirectLink,
  recordedWebLinks,
} from './description-samples.js';

const description = parseDescription(minimal);
const sender = { ...description, party: 'sender' } as const;

const MINIMAL_FRAGMENT =
  'rZHNTsMwEITvfgq_QH-gUYVWssTaSYsFBbkIRI-puyRW2sQ4KQ59esKJG8qBkT5pTzOzGlue6-rZXQj4Mqn27OAKajvgH8tz-HeiEKyiL-BoMjkSweqmtkM9LLT6C-bz0A3egazzjuqOBfJHZ_MW2ITbnz-Hi_MJvwI0OoWNShQajNLs0vvr1yiVzjRmCqNZycJqZZqHFOdPaY_brNy8rLa7t7Ws8nUfD3flTQEXu3gcx1wMwS2FTwrA-_fOw2yG4yVuqc9P_khT25wgSRas_V3sGw==';

const refusal = (code: string): unknown => expect.objectContaining({ code });

describe('a description URI', () => {
  it('begins as in the reference', () => {
    const uri = formatDescriptionUri(description);
    expect(uri).toMatch(/^simplex:\/file#\/\?desc=chunkSize%3A%2064kb%0Adigest%3A%20q6urq6/);
    expect(uri).toContain('%3D%3D%0Akey%3A%20');
    expect(uri).toMatch(/^simplex:\/file#\/\?desc=[\w.~%-]+$/);
    expect(uri.length).toBeLessThan(QR_LINK_LIMIT);
  });

  it('carries any recipient description and any data there and back', () => {
    fc.assert(
      fc.property(fileDescription, fc.option(fc.string({ unit: 'binary' })), (anyone, data) => {
        const recipient = { ...anyone, party: 'recipient' } as const;
        const options = data === null ? {} : { data };
        const read = parseDescriptionUri(formatDescriptionUri(recipient, options));
        expect(formatDescription(read.description)).toBe(formatDescription(recipient));
        expect(read.data).toBe(data ?? undefined);
      }),
      { ...BRIEFLY, numRuns: 200 },
    );
  });

  it('may begin with https:// and a host, have a slash after /file and parameters in any order', () => {
    const uri = formatDescriptionUri(description, {
      scheme: 'https://simplex.chat:8443',
      data: "{'a': (1*2)!}",
    });
    expect(uri).toContain('&data=%7B%27a%27%3A%20%281%2A2%29%21%7D');
    const [head = '', parameters = ''] = uri.split('?');
    const [desc = '', data = ''] = parameters.split('&');
    const other = `${head.replace('/file#', '/file/#')}?x&${data}&y=%ff&${desc}`;
    for (const text of [uri, other, `${other} and more`, `${other}\nmore`])
      expect(parseDescriptionUri(text)).toEqual({ description, data: "{'a': (1*2)!}" });
  });

  it('has a scheme in any case, and blanks around it', () => {
    const web = formatWebLink({ origin: 'https://files.example', description });
    for (const scheme of ['simplex:', 'https://simplex.chat'] as const) {
      const uri = formatDescriptionUri(description, { scheme });
      expect(parseLink(uri.replace(scheme, scheme.toUpperCase()))).toEqual(description);
      expect(parseDescriptionUri(uri.replace('s', 'S')).description).toEqual(description);
    }
    for (const link of [web, web.replace('https', 'HTTPS')])
      expect(parseLink(` \n${link}\n`)).toEqual(description);
  });

  it('may have plus signs for blanks', () => {
    const uri = formatDescriptionUri(description).replaceAll('%20', '+');
    expect(parseDescriptionUri(uri).description).toEqual(description);
  });

  it('is never made of a sender description, nor with another scheme', () => {
    expect(() => formatDescriptionUri(sender)).toThrow(refusal('INVALID_ARGUMENT'));
    for (const scheme of ['https://', 'https://a/b', 'https://a b'] as const)
      expect(() => formatDescriptionUri(description, { scheme })).toThrow(refusal('INVALID_ARGUMENT'));
  });

  it.each([
    ['', 'INVALID_LINK'],
    ['simplex:/contact#/?desc=x', 'INVALID_LINK'],
    ['simplex:/file#/?data=x', 'INVALID_LINK'],
    ['simplex:/file#/?desc=%', 'INVALID_LINK'],
    ['simplex:/file#/?desc=%ff', 'INVALID_LINK'],
    ['simplex:/file#/?desc=x', 'INVALID_DESCRIPTION'],
    [`simplex:/file#/?desc=${encodeURIComponent(formatDescription(sender))}`, 'INVALID_LINK'],
  ])('is refused when it is %j', (text, code) => {
    expect(() => parseDescriptionUri(text)).toThrow(refusal(code));
  });
});

describe('a web link', () => {
  it.each(recordedWebLinks)('printed for $name carries its first recipient description', ({ link, yaml }) => {
    expect(formatDescription(parseLink(link))).toBe(yaml);
  });

  it.each(recordedWebLinks)('for $name begins as the reference printed it', ({ link, yaml }) => {
    const printed = webLinkOf(parseDescription(yaml));
    expect(printed.split('#')[0]).toBe(link.split('#')[0]);
    expect(parseLink(printed)).toEqual(parseDescription(yaml));
  });

  it('of the reference browser client is a redirect', () => {
    const redirect = parseLink(recordedRedirectLink);
    expect(redirect).toMatchObject({
      party: 'recipient',
      chunks: [{ number: 1 }],
      redirect: expect.anything(),
    });
  });

  it('with the known fragment carries the minimal description, with or without padding', () => {
    expect(formatDescription(decodeWebFragment(MINIMAL_FRAGMENT))).toBe(minimal);
    expect(formatDescription(decodeWebFragment(MINIMAL_FRAGMENT.replace('==', '')))).toBe(minimal);
  });

  it('has the origin and path that are asked for', () => {
    const link = formatWebLink({ origin: 'https://relay.example:8443', path: '/file', description });
    expect(link).toBe(`https://relay.example:8443/file#${encodeWebFragment(description)}`);
    expect(parseLink(`  ${link}\n`)).toEqual(description);
    expect(parseLink(link.replace('https', 'HTTP'))).toEqual(description);
    for (const wrong of [
      { origin: 'relay.example' },
      { origin: 'https://a/' },
      { origin: 'https://a', path: 'x' },
      { origin: 'https://a', path: '/#' },
    ])
      expect(() => formatWebLink({ ...wrong, description })).toThrow(refusal('INVALID_ARGUMENT'));
  });

  it('has an IPv6 host in brackets', () => {
    const ipv6 = parseDescription(minimal.replace('example.com:443', '::1'));
    expect(webLinkOf(ipv6)).toMatch(/^https:\/\/\[::1\]\/#/);
  });

  it('is never made of a sender description, nor read with one', () => {
    expect(() => webLinkOf(sender)).toThrow(refusal('INVALID_ARGUMENT'));
    const fragment = encodeBase64Url(deflateRawSync(formatDescription(sender)));
    expect(() => parseLink(`https://a/#${fragment}`)).toThrow(refusal('INVALID_LINK'));
  });

  it.each([
    '',
    'simplex:',
    'ftp://a/#b',
    'https://a/',
    'https://a/#',
    'https://a/#!',
    'https://a/#AAAA',
    'not a link',
  ])('is refused when it is %j', (text) => {
    expect(() => parseLink(text)).toThrow(/\.$/);
    expect(parseOrFailure(() => parseLink(text))).toBeInstanceOf(XftpError);
  });

  it('gives a description or a failure for every recorded link with a few edits', () => {
    const links = [...recordedWebLinks.map(({ link }) => link), formatDescriptionUri(description)];
    fc.assert(
      fc.property(fc.oneof(...links.map(mutated), fc.webUrl({ withFragments: true })), (text) => {
        parseOrFailure(() => parseLink(text));
      }),
      BRIEFLY,
    );
  });
});

describe('inflating a fragment', () => {
  it.each(recordedDescriptions)('undoes what zlib made of $name at any level', ({ yaml }) => {
    for (const level of [0, 1, 9]) {
      const inflated = inflateRaw(deflateRawSync(yaml, { level }), 1 << 20);
      expect(new TextDecoder().decode(inflated)).toBe(yaml);
    }
  });

  it('undoes what zlib made of any bytes, also of more than fit one piece', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 100 }),
        fc.integer({ min: 0, max: 2000 }),
        fc.nat(9),
        (bytes, times, level) => {
          const data = new Uint8Array(bytes.length * times);
          for (let index = 0; index < data.length; index++)
            data[index] = (bytes[index % bytes.length] ?? 0) + ((index * index) >> 7);
          const inflated = inflateRaw(deflateRawSync(data, { level }), data.length);
          expect(Buffer.compare(inflated, data)).toBe(0);
        },
      ),
      { ...BRIEFLY, numRuns: 200 },
    );
  });

  it('refuses every truncated stream', () => {
    const whole = deflateRawSync(minimal);
    for (let length = 1; length < whole.length; length++)
      expect(() => inflateRaw(whole.subarray(0, length), 1 << 20)).toThrow(refusal('INVALID_ENCODING'));
  });

  it('refuses a bomb without inflating it', () => {
    const bomb = encodeBase64Url(deflateRawSync(new Uint8Array(512 << 20)));
    const before = process.memoryUsage().arrayBuffers;
    expect(() => decodeWebFragment(bomb)).toThrow(refusal('INVALID_LINK'));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 << 20);
  });

  it('refuses megabytes of junk behind the end, or of blocks without content', { timeout: 5000 }, () => {
    const end = deflateRawSync(minimal);
    const junk = Buffer.concat([end, Buffer.alloc(12 << 20, 1)]);
    const empty = Buffer.alloc(10 << 20, Buffer.from('000000ffff', 'hex'));
    for (const bytes of [junk, empty])
      expect(() => inflateRaw(bytes, 1 << 20)).toThrow(refusal('INVALID_ENCODING'));
  });

  it('gives bytes or a failure for any input', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), (bytes) => {
        parseOrFailure(() => inflateRaw(bytes, 1 << 20));
      }),
      BRIEFLY,
    );
  });
});
