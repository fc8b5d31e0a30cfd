import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { formatWireError, parseWireError } from '#src/protocol/wire-error.js';

/** Section 4.5. */
const PLAIN =
  'BLOCK SESSION HANDSHAKE AUTH SIZE QUOTA DIGEST CRYPTO NO_FILE HAS_FILE FILE_IO TIMEOUT INTERNAL DUPLICATE_';
const REASONS = 'UNKNOWN SYNTAX PROHIBITED NO_AUTH HAS_AUTH NO_ENTITY';

describe('an error on the wire', () => {
  it.each(PLAIN.split(' '))('may be %s', (text) => {
    expect(parseWireError(text)).toStrictEqual({ type: text });
    expect(formatWireError(parseWireError(text))).toBe(text);
  });

  it.each(REASONS.split(' '))('may be CMD %s', (reason) => {
    expect(parseWireError(`CMD ${reason}`)).toStrictEqual({ type: 'CMD', reason });
    expect(formatWireError(parseWireError(`CMD ${reason}`))).toBe(`CMD ${reason}`);
  });

  it('may be CMD NO_QUEUE, another name for CMD NO_ENTITY', () => {
    expect(parseWireError('CMD NO_QUEUE')).toStrictEqual({ type: 'CMD', reason: 'NO_ENTITY' });
  });

  it.each([
    ['reason=spam', { reason: 'spam' }],
    ['reason=content', { reason: 'content' }],
    ['reason=spam,notice={"ttl":86400}', { reason: 'spam', notice: { ttl: 86400 } }],
    ['reason=content,notice={}', { reason: 'content', notice: {} }],
  ])('may be BLOCKED %s', (text, info) => {
    expect(parseWireError(`BLOCKED ${text}`)).toStrictEqual({ type: 'BLOCKED', info });
    expect(formatWireError(parseWireError(`BLOCKED ${text}`))).toBe(`BLOCKED ${text}`);
  });

  it.each([
    '',
    'auth',
    'AUTH ',
    ' AUTH',
    'CMD',
    'CMD ',
    'CMD WHAT',
    'CMD  SYNTAX',
    'CMD SYNTAX ',
    'BLOCKED',
    'BLOCKED ',
    'BLOCKED reason=other',
    'BLOCKED reason=spam,',
    'BLOCKED reason=spam,notice=[]',
    'BLOCKED reason=spam,notice={"ttl":1.5}',
    'OTHER',
    'constructor',
  ])('that is %j is kept as it is', (text) => {
    expect(parseWireError(text)).toStrictEqual({ type: 'OTHER', text });
    expect(formatWireError(parseWireError(text))).toBe(text);
  });

  it('of any text is read, and means the same when it is written and read again', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `BLOCKED reason=spam,notice={${text}}`),
        ),
        (text) => {
          const error = parseWireError(text);
          expect(parseWireError(formatWireError(error))).toStrictEqual(error);
        },
      ),
    );
  });
});
